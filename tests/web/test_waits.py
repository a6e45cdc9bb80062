"""What the dashboard shows of waits, and what an operator may do with them."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.web import create_app
from tests.support.dashboard import TOKEN, browse
from tests.support.graphs import work


@pytest.fixture
async def workflow(oban: Oban) -> Workflow:
    workflow = (
        Workflow(id="order")
        .add_signal("approval", wait_for=timedelta(hours=2, seconds=30), choices=["yes", "<no>"])
        .add_signal("reviews", count=2)
        .add_timer("cool-down", timedelta(hours=1, seconds=30))
        .add("send", work(), deps=["approval", "cool-down"])
        .add_signal("receipt", deps="send")
    )
    await oban.enqueue_many(workflow)

    return workflow


async def id_of(workflow: Workflow, name: str) -> int:
    job = await workflow.get_job(name)
    assert job
    assert job.id

    return job.id


async def post(client: httpx.AsyncClient, workflow: Workflow, path: str, **form: str) -> Any:
    name, _, action = path.partition("/")
    job_id = await id_of(workflow, name)

    return await client.post(f"/workflows/order/jobs/{job_id}/{action}", data=form)


class TestView:
    async def test_tells_the_clock_of_each_wait(
        self, workflow: Workflow, reader: httpx.AsyncClient
    ) -> None:
        view = (await reader.get("/workflows/order/view.json")).json()
        members = {member["name"]: member for member in view["members"]}
        assert members["approval"]["wait"]["short"] == "signal, 2h left"
        assert members["approval"]["wait"]["long"].endswith(", for 2h more")
        assert members["reviews"]["wait"]["short"] == "signal 0 of 2"
        assert members["cool-down"]["wait"]["short"] == "timer, 1h left"
        assert members["receipt"]["wait"] is None
        assert members["send"]["wait"] is None
        waits = {name for name, member in members.items() if member.get("is_wait")}
        assert waits == {"approval", "reviews", "cool-down", "receipt"}


class TestJobs:
    async def test_jobs_show_their_clocks(
        self, workflow: Workflow, reader: httpx.AsyncClient
    ) -> None:
        page = (await reader.get("/workflows/order/jobs")).text
        assert ">signal, 2h left</span>" in page
        assert ">timer, 1h left</span>" in page
        assert page.count('<span class="muted"') == 3


class TestJob:
    async def test_tells_what_it_waits_for(
        self, workflow: Workflow, reader: httpx.AsyncClient
    ) -> None:
        page = await reader.get(f"/workflows/order/jobs/{await id_of(workflow, 'approval')}")
        assert "waits for a signal since" in page.text
        assert "for 2h more" in page.text
        assert "hx-post" not in page.text

    async def test_has_a_button_for_each_choice(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        url = "/workflows/order/jobs/"
        page = (await operator.get(f"{url}{await id_of(workflow, 'approval')}")).text
        assert '<button name="choice" value="yes">yes</button>' in page
        assert '<button name="choice" value="&lt;no&gt;">&lt;no&gt;</button>' in page
        page = (await operator.get(f"{url}{await id_of(workflow, 'reviews')}")).text
        assert "<button>Signal</button>" in page

        for name in ("cool-down", "receipt", "send"):
            page = (await operator.get(f"{url}{await id_of(workflow, name)}")).text
            assert "/signal" not in page


class TestSignal:
    async def test_the_page_sends_a_choice_to_a_wait(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        answer = await post(operator, workflow, "approval/signal", choice="yes")
        assert (answer.status_code, answer.text) == (200, "Signalled.")
        assert await workflow.get_recorded("approval") == {"choice": "yes"}
        answer = await post(operator, workflow, "approval/signal", choice="yes")
        assert answer.text == "Nothing took it."

    async def test_is_refused_without_the_proof_of_the_page(
        self, workflow: Workflow, operator: httpx.AsyncClient, reader: httpx.AsyncClient
    ) -> None:
        del operator.headers["X-CSRF-Token"]

        for client in (operator, reader):
            for action in ("signal", "reject"):
                answer = await post(client, workflow, f"approval/{action}", choice="yes")
                assert answer.status_code == 403

        assert await workflow.signals("approval") == []

    async def test_says_what_is_wrong(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        answer = await post(operator, workflow, "approval/signal", choice="maybe")
        assert answer.status_code == 409
        assert "must choose one of yes, &lt;no&gt;, got maybe" in answer.text
        answer = await post(operator, workflow, "reviews/signal")
        assert (answer.status_code, "by whom it is" in answer.text) == (409, True)
        answer = await post(operator, workflow, "send/reject")
        assert answer.status_code == 409

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_says_by_whom_it_is(
        self, workflow: Workflow, pool: AsyncConnectionPool, is_async: bool
    ) -> None:
        async def user(request: Any) -> str | None:
            return str(request.headers["x-user"])

        app = create_app(
            pool,
            allow_operations=True,
            token=TOKEN,
            user=user if is_async else lambda request: request.headers.get("x-user"),
        )

        async with browse(app) as client:
            await client.get("/unlock", params={"token": TOKEN})
            client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")
            client.headers["X-User"] = "ada"
            await post(client, workflow, "reviews/signal")
            client.headers["X-User"] = "bob"
            await post(client, workflow, "reviews/signal")
            await post(client, workflow, "approval/reject", reason="no & no")

        assert [signal.by for signal in await workflow.signals("reviews")] == ["ada", "bob"]
        assert (await workflow.explain("approval")).summary == (
            "job 'approval' was cancelled: rejected by bob: no & no"
        )


class TestInbox:
    async def test_has_a_button_for_each_choice(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        page = (await operator.get("/waits")).text
        approval = await id_of(workflow, "approval")
        assert re.findall('hx-post="([^"]*)"', page) == [f"/workflows/order/jobs/{approval}/signal"]
        assert re.findall('<button name="choice" value="([^"]*)">', page) == ["yes", "&lt;no&gt;"]
        assert f'href="/workflows/order#{approval}"' in page
        answer = await post(operator, workflow, "approval/signal", choice="yes")
        assert answer.text == "Signalled."
        assert "/signal" not in (await operator.get("/waits")).text

    async def test_has_none_for_who_may_not_answer(
        self, workflow: Workflow, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        assert "<button" not in (await reader.get("/waits")).text
        asked: list[tuple[str, str, str]] = []

        def may(user: str, action: str, workflow_id: str) -> bool:
            asked.append((user, action, workflow_id))

            return user == "ada"

        app = create_app(
            pool,
            allow_operations=True,
            user=lambda request: request.headers.get("x-user"),
            may=may,
        )

        async with browse(app) as client:
            for user, buttons in (("ada", 2), ("bob", 0)):
                client.headers["X-User"] = user
                assert (await client.get("/waits")).text.count("<button name=") == buttons

        assert asked == [("ada", "signal", "order"), ("bob", "signal", "order")]
