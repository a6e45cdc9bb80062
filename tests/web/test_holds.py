"""What a workflow is held back by, on its page: pauses, limits and keys, shown and changed."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from oban_pro import Workflow
from oban_pro.web import create_app
from tests.support.dashboard import browse
from tests.support.graphs import diamond, work

HERE = "/workflows/the-one"


@pytest.fixture
async def workflow(oban: Oban) -> Workflow:
    workflow = Workflow(id="the-one").add_workflow("sub", diamond())
    workflow.add_many("call", [work() for _ in range(3)], limit=2, rate=(9, timedelta(minutes=2)))
    await oban.enqueue_many(workflow)

    return workflow


async def url_of(client: httpx.AsyncClient, name: str) -> str:
    view = (await client.get(f"{HERE}/view.json")).json()
    key = next(one["id"] for one in view["members"] if one["name"] == name)

    return f"{HERE}/jobs/{key}"


class TestPauses:
    async def test_of_a_workflow_are_made_and_ended(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        assert f'hx-post="{HERE}/pause"' in (await operator.get(f"{HERE}/holds")).text
        answer = await operator.post(f"{HERE}/pause")
        assert answer.text == "Paused, 3 jobs held back."
        assert answer.headers["HX-Trigger"] == "held"
        assert (await workflow.status()).paused_at

        holds = (await operator.get(f"{HERE}/holds")).text
        assert "The workflow is paused since" in holds
        assert f'hx-post="{HERE}/resume"' in holds
        assert f'hx-post="{HERE}/pause"' not in holds

        assert (await operator.post(f"{HERE}/resume")).text == "Resumed, 3 jobs brought back."
        assert (await workflow.status()).paused_at is None

    async def test_of_a_part_leave_the_rest_alone(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        url = await url_of(operator, "sub")
        assert (await operator.post(f"{url}/pause")).text == "Paused, 1 job held back."
        status = await workflow.status()
        assert (status.paused_at, status.subs["sub"].paused_at is None) == (None, False)
        assert "Sub-workflow &#39;sub&#39; is paused" in (await operator.get(f"{url}/holds")).text

    async def test_of_a_job_hold_it_back(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        job = await workflow.get_job("sub/start")
        assert job
        url = f"{HERE}/jobs/{job.id}"
        assert (await operator.post(f"{url}/pause")).text == "Paused, 1 job held back."
        assert "is paused since" in (await operator.get(f"{url}/holds")).text
        assert (await workflow.status()).subs["call"].counts["available"] == 2

    async def test_around_it_are_shown_and_can_be_added_to(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        await workflow.pause(by="ada")
        url = await url_of(operator, "sub")
        holds = (await operator.get(f"{url}/holds")).text
        assert "The workflow is paused since" in holds
        assert "by ada" in holds
        assert f'hx-post="{url}/pause"' in holds

    async def test_are_news_to_the_open_page(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        before = (await operator.get(f"{HERE}/view.json")).json()
        await workflow.pause("call")
        await workflow.resume("call")
        await workflow.pause()
        after = (await operator.get(f"{HERE}/view.json")).json()
        assert before["seen"] != after["seen"]
        assert before["members"][0]["paused_at"] is None
        assert after["members"][0]["paused_at"] is not None

    async def test_end_with_the_workflow(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        await workflow.cancel_jobs()
        assert "<button" not in (await operator.get(f"{HERE}/holds")).text
        assert (await operator.post(f"{HERE}/pause")).text == "Paused, 0 jobs held back."


class TestLimits:
    async def test_are_shown_and_set(self, workflow: Workflow, operator: httpx.AsyncClient) -> None:
        url = await url_of(operator, "call")
        assert "At most 2 at once, 9 in 2 minutes." in (await operator.get(f"{url}/holds")).text
        answer = await operator.post(f"{url}/limit", data={"limit": "3"})
        assert answer.text == "Limit set."
        assert (await workflow.status()).subs["call"].limit == 3
        await operator.post(f"{url}/limit", data={"limit": ""})
        assert (await workflow.status()).subs["call"].limit is None

    @pytest.mark.parametrize("limit", ["-1", "two", "1.5", "²", "9" * 30])
    async def test_that_are_none_are_refused(
        self, limit: str, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        url = await url_of(operator, "call")
        answer = await operator.post(f"{url}/limit", data={"limit": limit})
        assert (answer.status_code, "limit" in answer.text) in ((400, True), (409, True))
        assert (await workflow.status()).subs["call"].limit == 2

    async def test_are_for_fan_outs_alone(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        url = await url_of(operator, "sub")
        assert f"{url}/limit" not in (await operator.get(f"{url}/holds")).text
        answer = await operator.post(f"{url}/limit", data={"limit": "1"})
        assert (answer.status_code, "fan-out" in answer.text) == (409, True)

    async def test_are_why_a_job_waits(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        job = await workflow.get_job("call/2")
        assert job
        panel = (await operator.get(f"{HERE}/jobs/{job.id}")).text
        assert "waits for a slot: number 1 in line, 2 of 2 run" in panel


class TestKeys:
    async def test_are_shown_with_the_line(self, oban: Oban, operator: httpx.AsyncClient) -> None:
        for name in ("first", "second"):
            workflow = Workflow(id=name, unique="k", on_conflict="queue").add("a", work())
            await oban.enqueue_many(workflow)

        first, second = [
            (await operator.get(f"/workflows/{name}/holds")).text for name in ("first", "second")
        ]
        assert "Its key is &#39;k&#39;." in first
        waits = "It waits behind &#39;first&#39; (key &#39;k&#39;), number 1 in line."
        assert waits in second


class TestReaders:
    async def test_who_may_not_act_see_no_buttons(
        self, workflow: Workflow, reader: httpx.AsyncClient
    ) -> None:
        await workflow.pause()
        holds = (await reader.get(f"{HERE}/holds")).text
        assert ("is paused" in holds, "<button" in holds) == (True, False)
        assert (await reader.post(f"{HERE}/resume")).status_code == 403

    async def test_may_do_what_they_may(
        self, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        def may(_: str, action: str, __: str) -> bool:
            return action == "pause"

        def user(_: Request) -> str:
            return "ada"

        options: dict[str, Any] = {"allow_operations": True, "may": may, "user": user}
        app = create_app(pool, **options)

        async with browse(app) as client:
            client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")
            page = await client.get("/")
            assert page.status_code == 200
            _, _, proof = page.text.partition("X-CSRF-Token&#34;: &#34;")
            client.headers["X-CSRF-Token"] = proof.partition("&")[0]
            assert (await client.post(f"{HERE}/pause")).text == "Paused, 3 jobs held back."
            assert (await client.post(f"{HERE}/resume")).status_code == 403
            assert (await workflow.status()).paused_by == "ada"

    async def test_are_told_what_is_not_there(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        for path in ("nobody", "the-one/jobs/99", "the-one/jobs/x", "the-one/jobs/-9"):
            assert (await operator.get(f"/workflows/{path}/holds")).status_code == 404
            assert (await operator.post(f"/workflows/{path}/pause")).status_code == 404
