"""The page of schedules."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schedules
from oban_pro._plugin.fire_schedules import look
from oban_pro.schedules import Schedule, schedule
from oban_pro.web import create_app
from tests.support.dashboard import TOKEN, browse
from tests.support.graphs import work


@pytest.fixture(autouse=True)
def _only_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin without schedules."""
    monkeypatch.setattr(schedules, "_schedules", {})


@pytest.fixture
async def nightly(oban: Oban) -> Schedule:
    """Provide a schedule that a node has seen."""

    @schedule("0 2 * * *", name="nightly", timezone="Europe/Kyiv")
    def nightly(tick: datetime) -> Workflow | None:
        return Workflow(name="import").add("one", work())

    await look(oban._query, nightly)

    return nightly


async def seen(oban: Oban, name: str, build: Any) -> None:
    await look(oban._query, schedule("0 2 * * *", name=name)(build))


async def execute(pool: AsyncConnectionPool, statement: str, *params: Any) -> None:
    async with pool.connection() as conn:
        await conn.execute(statement.encode(), params)


def text(page: str) -> str:
    (row,) = re.findall(r"<tr id=.*?</tr>", page, re.DOTALL)

    return " ".join(re.sub(r"<[^>]*>", " ", row).split())


async def post(client: httpx.AsyncClient, action: str, name: str = "nightly") -> httpx.Response:
    return await client.post(f"/schedules/{action}", params={"name": name})


class TestSchedules:
    async def test_tell_what_comes_next(self, nightly: Schedule, reader: httpx.AsyncClient) -> None:
        page = (await reader.get("/schedules")).text
        coming = next(nightly.ticks(datetime.now(UTC))).astimezone(UTC)
        assert re.match(r"nightly 0 2 \* \* \* Europe/Kyiv in \d+", text(page))
        assert f"{coming:%Y-%m-%d %H:%M:%S}" in page
        assert "<button" not in page

    async def test_tell_what_fails_and_what_was_missed(
        self, nightly: Schedule, reader: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        await execute(
            pool,
            "UPDATE oban_workflow_schedules SET failing_since = %s, error = %s, missed_tick = %s",
            *(datetime(2026, 1, 1, 2), "ValueError: <odd>", datetime(2026, 1, 2, 2)),
        )
        page = (await reader.get("/schedules")).text
        assert "2026-01-01 02:00:00</time>: ValueError: &lt;odd&gt;" in page
        assert "2026-01-02 02:00:00" in page
        assert "<title>(1) Schedules</title>" in page

    async def test_of_other_releases_do_not_break_the_page(
        self, nightly: Schedule, reader: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        await execute(pool, "UPDATE oban_workflow_schedules SET timezone = 'Mars/Base'")
        answer = await reader.get("/schedules")
        assert answer.status_code == 200
        assert "Mars/Base" in text(answer.text)

    async def test_the_page_says_that_there_are_no_schedules(
        self, reader: httpx.AsyncClient
    ) -> None:
        assert "No node has seen a schedule." in (await reader.get("/schedules")).text


class TestActing:
    async def test_the_page_runs_a_schedule_now(
        self, nightly: Schedule, operator: httpx.AsyncClient
    ) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        answer = await post(operator, "run")
        id = answer.text.removeprefix("Enqueued ").removesuffix(".")
        assert datetime.fromisoformat(id.removeprefix("nightly@")) > before
        assert (await Workflow(id=id).status()).total == 1

    async def test_pauses_and_resumes_one(
        self, nightly: Schedule, operator: httpx.AsyncClient
    ) -> None:
        assert (await post(operator, "pause")).text == "nightly is paused."
        assert (await post(operator, "pause")).text == "nightly was paused already."
        page = (await operator.get("/schedules")).text
        assert "paused since" in page
        assert ">Resume</button>" in page
        assert (await post(operator, "resume")).text == "nightly is running."
        assert ">Pause</button>" in (await operator.get("/schedules")).text

    async def test_says_what_its_function_does_wrong(
        self, oban: Oban, operator: httpx.AsyncClient
    ) -> None:
        def fail(tick: datetime) -> Workflow:
            raise LookupError("no source")

        await seen(oban, "failing", fail)
        await seen(oban, "odd", lambda tick: 7)
        await seen(oban, "none", lambda tick: None)
        answer = await post(operator, "run", "failing")
        assert answer.status_code == 409
        assert "LookupError: no source" in answer.text
        answer = await post(operator, "run", "odd")
        assert answer.status_code == 409
        assert "must return a Workflow" in answer.text
        assert (await post(operator, "run", "none")).text == "Nothing to run."

    async def test_knows_only_what_nodes_have_seen_and_this_process_has(
        self, nightly: Schedule, operator: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for action in ("run", "pause", "resume"):
            assert (await post(operator, action, "none")).status_code == 404
            assert (await post(operator, action, "")).status_code == 404

        monkeypatch.setattr(schedules, "_schedules", {})
        answer = await post(operator, "run")
        assert answer.status_code == 409
        assert "there is no schedule" in answer.text

    async def test_is_refused_to_readers(
        self, nightly: Schedule, reader: httpx.AsyncClient
    ) -> None:
        for action in ("run", "pause", "resume"):
            assert (await post(reader, action)).status_code == 403

    async def test_is_what_may_permits(
        self, nightly: Schedule, pool: AsyncConnectionPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        asked: set[tuple[str, str]] = set()

        def may(user: str, action: str, target: str) -> bool:
            asked.add((action, target))

            return action == "pause-schedule"

        app = create_app(pool, allow_operations=True, token=TOKEN, user=lambda _: "ada", may=may)

        async with browse(app) as client:
            await client.get("/unlock", params={"token": TOKEN})
            client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")
            page = (await client.get("/schedules")).text
            assert (">Run now</button>" in page, ">Pause</button>" in page) == (False, True)
            assert (await post(client, "run")).status_code == 403
            assert (await post(client, "resume")).status_code == 200

        assert asked == {("run-schedule", "nightly"), ("pause-schedule", "nightly")}
        assert '"schedule":"nightly"' in caplog.text
