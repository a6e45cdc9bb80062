"""What is answered where nothing can be: a page that says why, whatever was asked for."""

import asyncio
import json
import logging
import re
import threading
from typing import Any

import httpx
import pytest
from oban import Oban
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.engine.listener import Listener
from oban_pro.errors import InvalidDsnError
from oban_pro.values import codec
from oban_pro.web import create_app, values
from oban_pro.web.live import CHANNELS, changes
from oban_pro.web.session import PageSession
from tests.support.dashboard import TOKEN, browse
from tests.support.graphs import diamond, work

PATHS = [
    "/",
    "/workflows/the-one",
    "/workflows/the-one/view.json",
    "/workflows/the-one/jobs",
    "/workflows/the-one/jobs/1",
]


@pytest.fixture
async def workflow(oban: Oban) -> Workflow:
    workflow = diamond(id="the-one")
    await oban.enqueue_many(workflow)

    return workflow


def page(answer: httpx.Response, code: int) -> str:
    """Fail unless an answer is a page of ours that says why; returns it."""
    assert answer.status_code == code, answer.text
    assert f"<strong>{code}</strong>" in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"

    return answer.text


async def ask_raw(app: Any, path: str, query: bytes = b"") -> tuple[int, str]:
    """Ask as a server does that decodes otherwise than ours."""
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": query,
        "headers": [(b"host", b"localhost")],
        "scheme": "http",
        "server": ("localhost", 80),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)

    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent).decode()


class TestRequests:
    @pytest.mark.parametrize(
        "path",
        [
            "/?q=%00",
            "/workflows/%00",
            "/workflows/%2500",
            "/workflows/%2500/view.json",
            "/workflows/%2500/events",
            "/workflows/%2500/jobs",
            "/workflows/%2500/jobs/1",
            "/workflows/the-one/jobs?q=%00",
        ],
    )
    async def test_with_a_nul_are_told_so(
        self, path: str, workflow: Workflow, reader: httpx.AsyncClient
    ) -> None:
        assert "NUL" in page(await reader.get(path), 400)

    @pytest.mark.parametrize("path", ["/workflows/\ud800", "/workflows/\ud800/view.json"])
    async def test_with_a_surrogate_are_told_so(self, path: str, pool: AsyncConnectionPool) -> None:
        status, text = await ask_raw(create_app(pool), path)
        assert status == 400
        assert "surrogates not allowed" in text

    async def test_that_act_are_told_so_too(self, operator: httpx.AsyncClient) -> None:
        assert "NUL" in page(await operator.post("/workflows/%2500/cancel"), 400)
        assert "NUL" in page(await operator.post("/workflows/%2500/jobs/1/retry"), 400)

    @pytest.mark.parametrize("job", ["9" * 30, "9" * 5_000, "abc", "-1", "1.5", "٣"])
    async def test_for_a_job_that_cannot_be_are_not_found(
        self, job: str, workflow: Workflow, reader: httpx.AsyncClient
    ) -> None:
        page(await reader.get(f"/workflows/the-one/jobs/{job}"), 404)

    @pytest.mark.parametrize(
        "query",
        ["page=-1", f"page={'9' * 5_000}", "group=-" + "9" * 30, f"job={'9' * 18}", "state=%00"],
    )
    async def test_with_numbers_that_are_none_show_the_first_page(
        self, query: str, workflow: Workflow, reader: httpx.AsyncClient
    ) -> None:
        answer = await reader.get(f"/workflows/the-one/jobs?{query}")
        assert answer.status_code == 200, answer.text


class TestDatabase:
    @pytest.mark.parametrize("path", PATHS)
    async def test_that_is_gone_is_named(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("oban_pro.web.session.TIMEOUT", 0.1)
        app = create_app("postgresql://ada:hunter2@127.0.0.1:1/none")

        async with browse(app) as client:
            text = page(await client.get(path), 503)

        await app.state.session.close()
        assert "the database cannot be reached, retrying: couldn&#39;t get a connection" in text
        assert "hunter2" not in text

    async def test_that_is_slow_is_named(
        self, dsn: str, conn: AsyncConnection, workflow: Workflow
    ) -> None:
        slow = make_conninfo(dsn, options="-c statement_timeout=50")

        async with (
            AsyncConnectionPool(slow, min_size=1, open=False) as pool,
            browse(create_app(pool)) as client,
        ):
            assert (await client.get("/workflows/the-one")).status_code == 200

            async with conn.transaction():
                await conn.execute("LOCK TABLE oban_jobs, oban_workflow_groups")

                for path in PATHS:
                    assert "statement timeout" in page(await client.get(path), 503)

    async def test_that_is_read_only_shows_all_and_refuses_to_act(
        self, dsn: str, workflow: Workflow
    ) -> None:
        standby = make_conninfo(dsn, options="-c default_transaction_read_only=on")

        async with AsyncConnectionPool(standby, min_size=1, open=False) as pool:
            app = create_app(pool, allow_operations=True, token=TOKEN)

            async with browse(app) as client:
                await client.get("/unlock", params={"token": TOKEN})
                client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")
                (job, *_) = await workflow.all_jobs()

                for path in [*PATHS[:-1], f"/workflows/the-one/jobs/{job.id}"]:
                    assert (await client.get(path)).status_code == 200

                for action in ("cancel", "retry", *(f"jobs/{job.id}/{a}" for a in ACTIONS)):
                    text = page(await client.post(f"/workflows/the-one/{action}"), 503)
                    assert "the database takes no changes" in text

    async def test_without_our_tables_says_what_to_do(self, empty_dsn: str) -> None:
        async with (
            AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool,
            browse(create_app(pool)) as client,
        ):
            assert "oban-workflows install" in page(await client.get("/"), 503)

    async def test_that_is_gone_ends_a_stream(self, dsn: str, workflow: Workflow) -> None:
        async with AsyncConnectionPool(dsn, min_size=1, open=False, timeout=0.1) as pool:
            session = PageSession(pool, "public")
            stream = changes(session, Listener(*CHANNELS), workflow.id)
            assert (await anext(stream)).startswith("event: changed")

        async with asyncio.timeout(20):
            assert [mark async for mark in stream] == []

    def test_of_a_mistyped_dsn_is_refused_when_the_app_is_made(self) -> None:
        with pytest.raises(InvalidDsnError) as refusal:
            create_app("postgresql://ada:hun@ter2@localhost/shop")
        assert "ter2" not in str(refusal.value)


ACTIONS = ("cancel", "retry", "retry-from")


class TestErrors:
    async def test_that_nobody_expected_are_pages_and_raised_again_for_the_log(
        self, workflow: Workflow, pool: AsyncConnectionPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise RuntimeError("a secret")

        monkeypatch.setattr("oban_pro.web.pages.sum_groups", fail)
        app = create_app(pool)
        quiet = httpx.ASGITransport(app, raise_app_exceptions=False)

        async with httpx.AsyncClient(transport=quiet, base_url="http://localhost") as client:
            text = page(await client.get("/workflows/the-one"), 500)

        assert "a secret" not in text

        async with browse(app) as client:
            with pytest.raises(RuntimeError, match="a secret"):
                await client.get("/workflows/the-one")

    async def test_of_the_database_are_logged(
        self,
        workflow: Workflow,
        pool: AsyncConnectionPool,
        conn: AsyncConnection,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async with browse(create_app(pool)) as client:
            await client.get("/")
            await conn.execute("ALTER TABLE oban_workflow_groups RENAME COLUMN total TO sum")

            with caplog.at_level(logging.WARNING, "oban_pro.web"):
                assert "total" in page(await client.get("/workflows/the-one"), 503)

        (record,) = caplog.records
        assert "total" in record.getMessage()
        assert record.exc_info


class TestJobs:
    """Rows hold what others wrote."""

    @pytest.fixture
    async def job_id(self, oban: Oban) -> int:
        (job,) = await oban.enqueue_many(Workflow(id="the-one").add("a", work()))
        assert job.id is not None

        return job.id

    async def show(self, reader: httpx.AsyncClient, job_id: int) -> str:
        answer = await reader.get(f"/workflows/the-one/jobs/{job_id}")
        assert answer.status_code == 200, answer.text

        return answer.text

    @pytest.mark.parametrize(
        "errors",
        [["text", 1, None, {"error": "boom"}], {"error": "boom"}, [], None, [{}], "text", 5],
    )
    async def test_are_shown_whatever_their_errors_are(
        self, errors: Any, job_id: int, conn: AsyncConnection, reader: httpx.AsyncClient
    ) -> None:
        await conn.execute("UPDATE oban_jobs SET errors = %s::jsonb", [json.dumps(errors)])
        text = await self.show(reader, job_id)
        assert ("boom" in text) == (isinstance(errors, list) and {"error": "boom"} in errors)

    @pytest.mark.parametrize("value", [[1], "text", 5, None, {"a": [None]}, [[[1]]], True])
    async def test_are_shown_whatever_their_columns_hold(
        self, value: Any, job_id: int, conn: AsyncConnection, reader: httpx.AsyncClient
    ) -> None:
        await conn.execute(
            "UPDATE oban_jobs SET args = %(value)s::jsonb, meta = %(value)s::jsonb",
            {"value": json.dumps(value)},
        )
        await self.show(reader, job_id)

    async def test_are_shown_however_deep_their_arguments_are(
        self, job_id: int, conn: AsyncConnection, reader: httpx.AsyncClient
    ) -> None:
        deep = "[" * 900 + "]" * 900
        await conn.execute(
            "UPDATE oban_jobs SET args = jsonb_build_object('deep', %s::jsonb)", [deep]
        )
        assert "nested too deeply" in await self.show(reader, job_id)

    async def test_show_the_last_errors_of_many(
        self, job_id: int, conn: AsyncConnection, reader: httpx.AsyncClient
    ) -> None:
        at = "2024-05-01T00:00:00Z"
        entries = [{"attempt": n, "at": at, "error": f"e{n}."} for n in range(90)]
        await conn.execute("UPDATE oban_jobs SET errors = %s::jsonb", [json.dumps(entries)])
        text = await self.show(reader, job_id)
        assert [n for n in range(90) if f"e{n}." in text] == list(range(40, 90))
        assert text.index("e89.") < text.index("e40.")

    async def test_show_the_beginning_of_a_large_value_and_leave_the_loop_alone(
        self,
        job_id: int,
        conn: AsyncConnection,
        reader: httpx.AsyncClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        decoded_by: list[threading.Thread] = []

        decode = codec.decode

        def noted(*args: Any) -> Any:
            decoded_by.append(threading.current_thread())

            return decode(*args)

        monkeypatch.setattr(codec, "decode", noted)
        recorded = {"recorded": True, "return": codec.encode([0] * 1_000_000)}
        await conn.execute(
            "UPDATE oban_jobs SET meta = meta || %s::jsonb, args = %s::jsonb",
            [json.dumps(recorded), json.dumps({"many": [0] * 1_000_000})],
        )
        text = await self.show(reader, job_id)
        assert len(re.findall(r"… 998,\d\d\d more", text)) == 2
        assert len(text) < 100_000
        assert decoded_by
        assert threading.main_thread() not in decoded_by


class TestValues:
    def test_are_cut_before_they_are_written(self) -> None:
        class Loud(int):
            def __repr__(self) -> str:
                written.append(self)
                return "1"

        written: list[int] = []

        for value in (
            [Loud()] * 1_000_000,
            {n: Loud() for n in range(100_000)},
            tuple([[Loud()] * 1000] * 1000),
            [[[Loud()] * 100] * 100] * 100,
        ):
            written.clear()
            shown = values.show_python(value)
            assert len(shown) <= values.MOST + 100
            # each is tried on a line of its own, and together with others
            assert len(written) <= 4 * values.MOST_PARTS

    def test_that_are_small_are_whole(self) -> None:
        value = {"a": [1, (2, "x")], (1, 2): {3}, "b": b"\0", "c": frozenset({4}), "d": None}
        assert eval(values.show_python(value)) == value

    def test_say_what_was_cut_off(self) -> None:
        for value, shown in (
            ([0] * 6000, "… 4,001 more"),
            ([[0] * 6000, 1], "… 4,002 more"),
            ({(n,): 0 for n in range(3000)}, " more: …"),
            (dict.fromkeys(range(3000), 0), " more: …"),
            ("x" * 30_000, "more characters"),
            (b"x" * 30_000, "more characters"),
            (10**5000, "an int of 16,610 bits"),
            ({"n": [10**5000]}, "an int of 16,610 bits"),
        ):
            text = values.show_recorded({"recorded": True, "return": codec.encode(value)})
            assert text is not None
            assert shown in text

    def test_too_large_to_be_decoded_are_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(values, "MOST_DECODED", 100)
        assert values.show_recorded({"recorded": True, "return": "x" * 101}) == (
            "too large to be shown: 101 characters encoded"
        )
        assert values.show_recorded({"recorded": True, "return": 5}) == (
            "cannot be shown: a recorded value must be base64 text, got int"
        )


class TestHealth:
    async def test_is_told_in_a_word(self, reader: httpx.AsyncClient) -> None:
        answer = await reader.get("/health")
        assert (answer.status_code, answer.text) == (200, "healthy\n")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers

    async def test_is_told_to_head_too(self, reader: httpx.AsyncClient) -> None:
        assert (await reader.head("/health")).status_code == 200

    async def test_health_is_bad_without_the_tables(
        self, empty_dsn: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = create_app(empty_dsn)

        async with browse(app) as client:
            answer = await client.get("/health")

        assert (answer.status_code, answer.text) == (503, "unhealthy\n")
        assert "workflow tables are missing" in caplog.text
        await app.state.session.close()

    async def test_health_turns_bad_when_the_tables_go(
        self, reader: httpx.AsyncClient, conn: AsyncConnection
    ) -> None:
        assert (await reader.get("/health")).status_code == 200
        await conn.execute("DELETE FROM oban_workflow_migrations")
        assert (await reader.get("/health")).status_code == 503

    async def test_does_not_tell_strangers_about_the_database(
        self, dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("oban_pro.web.session.TIMEOUT", 0.2)
        app = create_app(make_conninfo(dsn, host="127.0.0.1", port=1, user="secret"))

        async with browse(app) as client:
            answer = await client.get("/health")

        assert (answer.status_code, answer.text) == (503, "unhealthy\n")
        await app.state.session.close()
