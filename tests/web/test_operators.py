"""Which users of an app may do what in a dashboard that it mounts, and what the audit log says."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import oban.telemetry
import orjson
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from oban_pro import Workflow, settings
from oban_pro.web import create_app
from tests.support.dashboard import TOKEN, browse
from tests.support.graphs import diamond, work

fastapi = pytest.importorskip("fastapi", reason="FastAPI is not installed")
sessions = pytest.importorskip("starlette.middleware.sessions", reason="needs itsdangerous")

HERE = "/workflows/workflows/the-one"


def user(request: Any) -> str | None:
    name: str | None = request.session.get("user")

    return name


def may(name: str, action: str, workflow_id: str) -> bool:
    assert workflow_id == "the-one"

    return name == "ada" or (name == "bob" and action in ("retry", "signal"))


async def may_later(name: str, action: str, workflow_id: str) -> bool:
    return may(name, action, workflow_id)


def mount(pool: AsyncConnectionPool, **options: Any) -> Any:
    """An app with a login, and the dashboard in it."""
    app = fastapi.FastAPI()
    app.add_middleware(sessions.SessionMiddleware, secret_key="for tests")
    app.mount("/workflows", create_app(pool, user=user, **options))

    @app.post("/login/{name}")
    async def sign_in(name: str, request: Request) -> None:
        request.session["user"] = name

    return app


async def sign_in(client: httpx.AsyncClient, name: str) -> None:
    """Sign in, and read the proof that the pages send with each action."""
    await client.post(f"/login/{name}")
    page = (await client.get("/workflows/")).text
    _, _, found = page.partition("X-CSRF-Token&#34;: &#34;")
    client.headers["X-CSRF-Token"] = found.partition("&")[0]


@pytest.fixture
async def workflow(oban: Oban) -> Workflow:
    sub = diamond().add_signal("approval", choices=["yes"])
    workflow = Workflow(id="the-one").add_workflow("sub", sub).add("after", work(), deps="sub")
    await oban.enqueue_many(workflow)

    return workflow


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []
    oban.telemetry.attach("audit", ["oban.workflow.operated"], lambda _, told: heard.append(told))
    yield heard
    oban.telemetry.detach("audit")


@pytest.fixture
def web_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Provide the address of the dashboard, as the settings know it."""
    with monkeypatch.context() as patch:
        patch.setenv("OBAN_WEB_URL", "http://dash")
        settings.reset()
        yield "http://dash"

    settings.reset()


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [
        orjson.loads(record.getMessage())
        for record in caplog.records
        if record.name == "oban_pro.audit"
    ]


async def job_url(workflow: Workflow, path: str) -> str:
    job = await workflow.get_job(path)
    assert job

    return f"{HERE}/jobs/{job.id}"


@pytest.mark.parametrize("decide", [may, may_later])
class TestMay:
    async def test_hides_what_somebody_may_not_do(
        self, decide: Any, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        async with browse(mount(pool, allow_operations=True, may=decide)) as client:
            for name, retry, cancel, reject in (
                ("ada", True, True, True),
                ("bob", True, False, False),
                ("eve", False, False, False),
            ):
                await sign_in(client, name)
                page = (await client.get(HERE)).text
                panel = (await client.get(await job_url(workflow, "sub/approval"))).text
                assert ('id="retry"' in page, 'id="cancel"' in page) == (retry, cancel)
                assert ("/signal" in panel, "/reject" in panel) == (retry, reject)
                assert ("Cancel</button>" in panel) == cancel
                assert ("read-only" in page) == (not retry)

    async def test_refuses_what_somebody_may_not_do(
        self, decide: Any, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        approval = await job_url(workflow, "sub/approval")

        async with browse(mount(pool, allow_operations=True, may=decide)) as client:
            for name in ("bob", "eve"):
                await sign_in(client, name)

                for url in (f"{HERE}/cancel", f"{approval}/cancel", f"{approval}/reject"):
                    answer = await client.post(url)
                    assert answer.status_code == 403
                    assert f"{name} may not" in answer.text

            assert (await workflow.status()).counts["cancelled"] == 0
            await sign_in(client, "ada")
            assert (await client.post(f"{HERE}/cancel")).text == "Cancelled 6 jobs."
            explained = await workflow.explain("sub/approval")
            assert explained.summary == "job 'sub/approval' was cancelled by ada"

    async def test_is_asked_for_the_root_whatever_part_is_opened(
        self, decide: Any, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        (job,) = [
            job for job in await workflow.all_jobs(with_subs=True) if job.meta["name"] == "left"
        ]
        part = f"/workflows/workflows/{job.meta['workflow_id']}"

        async with browse(mount(pool, allow_operations=True, may=decide)) as client:
            await sign_in(client, "bob")
            assert (await client.post(f"{part}/cancel")).status_code == 403
            assert (await client.post(f"{part}/jobs/{job.id}/cancel")).status_code == 403
            assert (await client.post(f"{part}/retry")).status_code == 200


class TestAsking:
    async def test_is_not_done_about_nobody(
        self, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        async with browse(
            mount(pool, allow_operations=True, may=lambda *_: pytest.fail("asked"))
        ) as client:
            assert "read-only" in (await client.get(HERE)).text
            headers = {
                "X-CSRF-Token": create_app(
                    pool, allow_operations=True, token=TOKEN
                ).state.guard._prove("csrf")
            }
            assert (await client.post(f"{HERE}/cancel", headers=headers)).status_code == 403

    async def test_changes_nothing_where_operations_are_not_allowed(
        self, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        async with browse(mount(pool, may=may)) as client:
            await sign_in(client, "ada")
            assert "read-only" in (await client.get(HERE)).text
            assert (await client.post(f"{HERE}/cancel")).status_code == 403

    async def test_comes_after_the_token_where_there_is_one(
        self, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        app = mount(pool, allow_operations=True, token=TOKEN, may=may)

        async with browse(app) as client:
            await sign_in(client, "ada")
            assert "read-only" in (await client.get(HERE)).text
            await client.get("/workflows/unlock", params={"token": TOKEN})
            assert 'id="cancel"' in (await client.get(HERE)).text
            await sign_in(client, "eve")
            assert "read-only" in (await client.get(HERE)).text
            assert (await client.post(f"{HERE}/cancel")).status_code == 403

    async def test_a_may_that_raises_permits_nothing(
        self, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        def break_down(name: str, action: str, workflow_id: str) -> bool:
            raise LookupError("the directory of users is down")

        app = mount(pool, allow_operations=True, may=break_down)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)

        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await sign_in(client, "ada")
            assert (await client.post(f"{HERE}/cancel")).status_code == 500

        assert (await workflow.status()).counts["cancelled"] == 0

    def test_needs_somebody_to_ask_about(self) -> None:
        with pytest.raises(ValueError, match="user must be given where may is"):
            create_app("postgresql:///unused", allow_operations=True, may=may)


class TestOtherSites:
    @pytest.mark.parametrize(
        "headers",
        [{"X-CSRF-Token": ""}, {"X-CSRF-Token": "guessed"}, {"Sec-Fetch-Site": "same-site"},
         {"Sec-Fetch-Site": "cross-site"}],
    )  # fmt: skip
    async def test_cannot_act_for_whoever_is_signed_in(
        self, headers: dict[str, str], workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        async with browse(mount(pool, allow_operations=True, may=may)) as client:
            await sign_in(client, "ada")
            assert (await client.post(f"{HERE}/cancel", headers=headers)).status_code == 403
            fine = {"Sec-Fetch-Site": "same-origin"}
            assert (await client.post(f"{HERE}/cancel", headers=fine)).status_code == 200


class TestAudit:
    async def test_tells_who_did_what_to_which_workflow_and_when(
        self,
        workflow: Workflow,
        pool: AsyncConnectionPool,
        caplog: pytest.LogCaptureFixture,
        events: list[dict[str, Any]],
        web_url: str,
    ) -> None:
        caplog.set_level(logging.INFO, "oban_pro.audit")
        approval = await job_url(workflow, "sub/approval")

        async with browse(mount(pool, allow_operations=True, may=may)) as client:
            await sign_in(client, "ada")
            await client.post(f"{approval}/signal", data={"choice": "no"})
            await client.post(f"{approval}/signal", data={"choice": "yes"})
            await client.post(f"{HERE}/cancel")
            await sign_in(client, "bob")
            await client.post(f"{approval}/cancel")
            del client.headers["X-CSRF-Token"]
            await client.post(f"{HERE}/retry")

        told = lines(caplog)
        assert [(line["by"], line["action"], line["path"], line["outcome"]) for line in told] == [
            ("ada", "signal", "sub/approval", "refused"),
            ("ada", "signal", "sub/approval", "done"),
            ("ada", "cancel", None, "done"),
            ("bob", "cancel", "sub/approval", "refused"),
            (None, "retry", None, "refused"),
        ]
        assert {line["workflow_id"] for line in told} == {"the-one"}
        assert "must choose one of yes, got no" in told[0]["said"]
        assert told[2]["said"] == "Cancelled 5 jobs."
        assert told[0]["at"] < told[-1]["at"]
        assert told[0]["client"] == "127.0.0.1"
        assert {line["url"] for line in told} == {
            f"{web_url}/workflows/the-one",
            f"{web_url}/workflows/the-one?q=sub/approval",
        }
        assert events == [
            {key: value for key, value in line.items() if key not in ("event", "url")}
            for line in told
        ]
        assert [record.levelname for record in caplog.records if record.name == "oban_pro.audit"][
            :2
        ] == ["WARNING", "INFO"]

    async def test_the_audit_tells_what_failed(
        self, workflow: Workflow, pool: AsyncConnectionPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with pool.connection() as conn:
            await conn.execute("ALTER TABLE oban_workflow_members RENAME TO gone")

        async with browse(mount(pool, allow_operations=True, may=may)) as client:
            await sign_in(client, "ada")
            assert (await client.post(f"{HERE}/cancel")).status_code == 503

        (line,) = lines(caplog)
        assert (line["by"], line["outcome"]) == ("ada", "failed")
        assert "oban_workflow_members" in line["said"]
