"""Doing one thing to many workflows, and to many jobs of one."""

import logging
from typing import Any

import httpx
import orjson
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.engine.statements import Statements
from oban_pro.web import bulk, create_app, finding
from tests.support.dashboard import browse
from tests.support.graphs import diamond, work


async def found(client: httpx.AsyncClient, action: str, **query: str) -> set[str]:
    answer = await client.get("/found", params={**query, "action": action})
    assert answer.status_code == 200, answer.text

    return {*answer.json()}


async def act(client: httpx.AsyncClient, path: str, ids: Any) -> Any:
    answer = await client.post(path, content=orjson.dumps(ids))

    return answer.json() if "json" in answer.headers["content-type"] else answer


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [
        orjson.loads(one.getMessage()) for one in caplog.records if one.name == "oban_pro.audit"
    ]


async def state(id: str) -> str:
    return (await Workflow(id=id).status()).state


@pytest.fixture
async def three(oban: Oban) -> None:
    """Provide one that is open, one that was cancelled, one that is paused."""
    for id in ("open", "cancelled", "paused"):
        await oban.enqueue_many(diamond(id=id, name="nightly"))

    await Workflow(id="cancelled").cancel_jobs()
    await Workflow(id="paused").pause()


@pytest.mark.usefixtures("three")
class TestFound:
    async def test_are_those_that_the_action_applies_to(self, reader: httpx.AsyncClient) -> None:
        assert await found(reader, "cancel") == await found(reader, "pause") == {"open", "paused"}
        assert await found(reader, "retry") == await found(reader, "delete") == {"cancelled"}
        assert await found(reader, "resume") == {"paused"}
        assert await found(reader, "resume", state="cancelled") == set()
        assert await found(reader, "cancel", state="paused") == {"paused"}
        assert await found(reader, "cancel", q="night", jobs="suspended") == {"open", "paused"}
        assert await found(reader, "delete", jobs="suspended") == set()
        assert await found(reader, "cancel", q="weekly") == set()

    async def test_are_all_of_them_in_many_pages(
        self, oban: Oban, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(finding, "IDS", 2)
        monkeypatch.setattr(finding, "CHUNK", 1)
        monkeypatch.setattr(finding, "MOST_ASKED", 2)
        monkeypatch.setattr(finding, "LOOKED_AT", 3)
        await oban.enqueue_many([job for n in range(6) for job in diamond(id=f"{n}")])
        more = {*map(str, range(6))}
        assert await found(reader, "cancel") == {"open", "paused", *more}
        assert await found(reader, "cancel", q="nightly") == {"open", "paused"}
        assert await found(reader, "cancel", queue="default") == {"open", "paused", *more}

    async def test_that_are_too_many_are_refused(
        self, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "MOST_FOUND", 1)
        answer = await reader.get("/found", params={"action": "cancel"})
        assert answer.status_code == 413
        assert "narrow the filters" in answer.text

    async def test_need_an_action_that_there_is(self, reader: httpx.AsyncClient) -> None:
        assert (await reader.get("/found", params={"action": "sell"})).status_code == 400


@pytest.mark.usefixtures("three")
class TestWorkflows:
    async def test_are_changed_one_by_one_each_with_an_audit_line(
        self, operator: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "oban_pro.audit")
        told = await act(operator, "/act/cancel", ["open", "cancelled", "paused", "none"])
        assert [(one["id"], one["outcome"]) for one in told] == [
            ("open", "done"),
            ("cancelled", "unchanged"),
            ("paused", "done"),
            ("none", "refused"),
        ]
        assert told[-1]["said"] == "there is no root workflow 'none'"
        assert [(one["workflow_id"], one["outcome"]) for one in lines(caplog)] == [
            ("open", "done"),
            ("cancelled", "done"),
            ("paused", "done"),
            ("none", "refused"),
        ]
        assert await state("open") == await state("paused") == "cancelled"

    @pytest.mark.parametrize(
        ("action", "changed"),
        [("retry", {"cancelled"}), ("pause", {"open", "cancelled"}), ("resume", {"paused"})],
    )
    async def test_are_told_apart_by_whether_they_changed(
        self, action: str, changed: set[str], operator: httpx.AsyncClient
    ) -> None:
        told = await act(operator, f"/act/{action}", ["open", "cancelled", "paused"])
        assert {one["id"] for one in told if one["outcome"] == "done"} == changed

    async def test_that_are_open_are_not_deleted(self, operator: httpx.AsyncClient) -> None:
        told = await act(operator, "/act/delete", ["open", "cancelled"])
        assert [one["outcome"] for one in told] == ["refused", "done"]
        assert "is open; cancel it first" in told[0]["said"]
        assert await state("cancelled") == "unknown"

    async def test_that_are_nested_are_refused(
        self, oban: Oban, operator: httpx.AsyncClient
    ) -> None:
        jobs = await oban.enqueue_many(Workflow().add_workflow("inner", diamond()))
        (told,) = await act(operator, "/act/cancel", [jobs[0].meta["workflow_id"]])
        assert told["outcome"] == "refused"

    async def test_are_each_asked_for_whether_the_user_may(
        self, pool: AsyncConnectionPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "oban_pro.audit")
        asked = []

        def may(user: str, action: str, workflow_id: str) -> bool:
            asked.append((user, action, workflow_id))

            return workflow_id == "paused"

        app = create_app(pool, allow_operations=True, user=lambda _: "ada", may=may)

        async with browse(app) as client:
            client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")
            told = await act(client, "/act/cancel", ["open", "paused"])

        assert asked == [("ada", "cancel", "open"), ("ada", "cancel", "paused")]
        assert told[0] == {
            "id": "open",
            "outcome": "refused",
            "said": "ada may not cancel 'open'",
        }
        assert told[1]["outcome"] == "done"
        assert [(one["by"], one["outcome"]) for one in lines(caplog)] == [
            ("ada", "refused"),
            ("ada", "done"),
        ]
        assert await state("open") == "executing"

    async def test_are_left_alone_without_the_token(self, reader: httpx.AsyncClient) -> None:
        assert (await act(reader, "/act/cancel", ["open"])).status_code == 403
        assert await state("open") == "executing"
        assert 'type="checkbox"' not in (await reader.get("/")).text

    @pytest.mark.parametrize(
        "body", [b"", b"{}", b"[]", b"[1]", b'"open"', orjson.dumps(["x"] * 101), b'["a\\u0000"]']
    )
    async def test_must_be_a_list_of_some_ids(
        self, body: bytes, operator: httpx.AsyncClient
    ) -> None:
        assert (await operator.post("/act/cancel", content=body)).status_code == 400
        assert (await operator.post("/act/sell", content=b'["open"]')).status_code == 404


class TestJobs:
    async def test_of_all_nested_workflows_are_cancelled_and_retried(
        self, oban: Oban, operator: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "oban_pro.audit")
        workflow = Workflow(id="the-one").add("first", work()).add("other", work())
        jobs = await oban.enqueue_many(workflow.add_workflow("inner", diamond()))
        by_name = {job.meta["name"]: job for job in jobs}
        ids = [by_name[name].id for name in ("first", "left", "right")]
        answer = await act(operator, "/workflows/the-one/act/cancel", ids)
        assert answer.text == "Cancelled 3 jobs."
        assert {(one["path"], one["outcome"]) for one in lines(caplog)} == {
            ("first", "done"),
            ("inner/left", "done"),
            ("inner/right", "done"),
        }
        answer = await act(operator, "/workflows/the-one/act/retry", ids)
        assert answer.text.startswith("Retried ")
        assert (await workflow.status()).state == "executing"

    async def test_of_another_workflow_are_not_found(
        self, oban: Oban, operator: httpx.AsyncClient
    ) -> None:
        await oban.enqueue_many(diamond(id="the-one"))
        (job, *_) = await oban.enqueue_many(diamond(id="other"))
        answer = await act(operator, "/workflows/the-one/act/cancel", [job.id])
        assert answer.status_code == 404
        assert (await Workflow(id="other").status()).state == "executing"

    async def test_many_jobs_or_workflows_are_found_by_one_statement(
        self, oban: Oban, operator: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        rows = Statements.rows

        async def counted(store: Statements, name: str, params: Any) -> Any:
            asked.append(name)
            return await rows(store, name, params)

        jobs = await oban.enqueue_many(diamond(id="the-one"))
        await oban.enqueue_many(diamond(id="other"))
        monkeypatch.setattr(Statements, "rows", counted)
        ids = [job.id for job in jobs]
        assert (await act(operator, "/workflows/the-one/act/cancel", ids)).status_code == 200
        told = await act(operator, "/act/cancel", ["the-one", "other"])
        assert [one["outcome"] for one in told] == ["unchanged", "done"]
        assert (asked.count("picked_jobs"), asked.count("root_crumbs")) == (1, 1)
        assert asked.count("job") == 0
        assert asked.count("breadcrumbs") == 1

    async def test_an_id_that_is_no_bigint_is_refused(self, operator: httpx.AsyncClient) -> None:
        path = "/workflows/the-one/act/cancel"
        answer = await operator.post(path, content=f"[{2**63}]".encode())
        assert answer.status_code == 400
        assert "an id must fit a bigint" in answer.text

    async def test_are_left_alone_without_the_token(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        (job, *_) = await oban.enqueue_many(diamond(id="the-one"))
        answer = await act(reader, "/workflows/the-one/act/cancel", [job.id])
        assert answer.status_code == 403
        assert 'type="checkbox"' not in (await reader.get("/workflows/the-one/jobs")).text
