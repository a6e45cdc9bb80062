"""Who may cancel and retry, and what it does."""

from typing import Any

import httpx
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.web import create_app, static_files
from oban_pro.web.security import KnownHosts
from tests.support.dashboard import TOKEN, browse
from tests.support.fixtures import Run
from tests.support.graphs import diamond, work


async def states(workflow: Workflow) -> dict[str, str]:
    return {job.meta["name"]: job.state for job in await workflow.all_jobs(with_subs=True)}


async def members(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    members: list[dict[str, Any]] = (await client.get("/workflows/the-one/view.json")).json()[
        "members"
    ]

    return members


async def set_state(pool: AsyncConnectionPool, state: str, *ids: int | None) -> None:
    async with pool.connection() as conn:
        for job_id in ids:
            await conn.execute(
                f"UPDATE oban_jobs SET state = '{state}', {state}_at = timezone('UTC', now())"
                " WHERE id = %s",
                [job_id],
            )


@pytest.fixture
async def workflow(oban: Oban) -> Workflow:
    workflow = diamond(id="the-one", name="nightly")
    await oban.enqueue_many(workflow)

    return workflow


class TestPermission:
    async def test_is_refused_where_operations_are_not_allowed(
        self, workflow: Workflow, reader: httpx.AsyncClient
    ) -> None:
        answer = await reader.post("/workflows/the-one/cancel")
        assert answer.status_code == 403
        assert (await states(workflow))["start"] == "available"
        assert "hx-post" not in (await reader.get("/workflows/the-one")).text
        assert (await reader.get("/unlock", params={"token": ""})).status_code == 403

    async def test_acting_on_a_page_needs_the_token(
        self, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        app = create_app(pool, allow_operations=True, token=TOKEN)

        async with browse(app) as client:
            page = await client.get("/workflows/the-one")
            wrong = await client.get("/unlock", params={"token": TOKEN[:-1]})
            proof = {"X-CSRF-Token": app.state.guard._prove("csrf")}
            acted = await client.post("/workflows/the-one/cancel", headers=proof)

        assert "hx-post" not in page.text
        assert wrong.status_code == acted.status_code == 403
        assert not wrong.cookies
        assert (await states(workflow))["start"] == "available"

    @pytest.mark.parametrize("proof", [None, "", "guessed", "é"])
    async def test_needs_the_proof_of_the_page(
        self, proof: str | None, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        del operator.headers["X-CSRF-Token"]
        headers = {} if proof is None else {b"X-CSRF-Token": proof.encode()}
        answer = await operator.post("/workflows/the-one/cancel", headers=headers)
        assert answer.status_code == 403
        assert (await states(workflow))["start"] == "available"

    async def test_is_not_had_by_another_method(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        assert (await operator.get("/workflows/the-one/cancel")).status_code in (404, 405)
        assert (await states(workflow))["start"] == "available"

    async def test_is_kept_in_a_cookie_that_scripts_and_other_sites_cannot_use(
        self, pool: AsyncConnectionPool
    ) -> None:
        app = create_app(pool, allow_operations=True, token=TOKEN)

        async with browse(app) as client:
            answer = await client.get("/unlock", params={"token": TOKEN})

        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie

    async def test_ends_after_a_day_whoever_keeps_the_cookie(
        self, workflow: Workflow, pool: AsyncConnectionPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = create_app(pool, allow_operations=True, token=TOKEN)
        proof = {"X-CSRF-Token": app.state.guard._prove("csrf")}

        async with browse(app) as client:
            answer = await client.get("/unlock", params={"token": TOKEN})
            assert "max-age=86400" in answer.headers["set-cookie"].lower()
            cookie = client.cookies["oban_workflows"]
            stolen = {"Cookie": f"oban_workflows={cookie}", **proof}
            later = int(cookie.partition(".")[0])

            for now, code in ((later - 1, 200), (later, 403)):
                monkeypatch.setattr("oban_pro.web.security.time", lambda now=now: now)
                client.cookies.clear()
                answer = await client.post("/workflows/the-one/retry", headers=stolen)
                assert answer.status_code == code

    @pytest.mark.parametrize(
        "forged", ["", ".", "9999999999", "9999999999.", "x.y", "9999999999.{proof}", "{proof}"]
    )
    async def test_is_not_prolonged_by_a_forged_cookie(
        self, forged: str, workflow: Workflow, pool: AsyncConnectionPool
    ) -> None:
        app = create_app(pool, allow_operations=True, token=TOKEN)

        async with browse(app) as client:
            await client.get("/unlock", params={"token": TOKEN})
            proof = client.cookies["oban_workflows"].partition(".")[2]
            client.cookies.clear()
            cookie = {"Cookie": f"oban_workflows={forged.format(proof=proof)}"}
            page = await client.get("/workflows/the-one", headers=cookie)

        assert "read-only" in page.text
        assert "hx-post" not in page.text

    def test_cannot_be_allowed_without_a_token(self) -> None:
        with pytest.raises(ValueError, match="token must be given"):
            create_app("postgresql:///unused", allow_operations=True)


class TestHosts:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "LOCALHOST:4600",
            "localhost.",
            "127.0.0.1:4600",
            "127.1.2.3",
            "192.168.1.20:80",
            "[::1]:4600",
            "[2001:db8::1]",
            "shop.example:4600",
            "Shop.Example",
        ],
    )
    async def test_that_are_addresses_or_named_are_answered(
        self, host: str, pool: AsyncConnectionPool
    ) -> None:
        async with browse(KnownHosts(create_app(pool), ["shop.example"])) as client:
            assert (await client.get("/", headers={"Host": host})).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "shop.example.evil.example",
            "xshop.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            ":80",
            "[]",
            "localhost:80:90",
        ],
    )
    async def test_that_are_not_are_told_how(self, host: str, pool: AsyncConnectionPool) -> None:
        async with browse(KnownHosts(create_app(pool), ["shop.example"])) as client:
            answer = await client.get("/", headers={"Host": host})

        assert answer.status_code == 400
        assert "--allow-host" in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    async def test_may_be_any_where_that_is_said(self, pool: AsyncConnectionPool) -> None:
        async with browse(KnownHosts(create_app(pool), ["*"])) as client:
            assert (await client.get("/", headers={"Host": "any.example"})).status_code == 200


class TestHeaders:
    @pytest.mark.parametrize(
        "path", ["/", "/workflows/none", f"/{static_files.BASE}/style.css", "/nowhere"]
    )
    async def test_forbid_whatever_is_not_ours(self, path: str, reader: httpx.AsyncClient) -> None:
        headers = (await reader.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"


class TestActing:
    async def test_the_page_cancels_a_workflow(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        answer = await operator.post("/workflows/the-one/cancel")
        assert answer.text == "Cancelled 4 jobs."
        assert set((await states(workflow)).values()) == {"cancelled"}

    async def test_the_page_retries_a_workflow(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        await workflow.cancel_jobs()
        answer = await operator.post("/workflows/the-one/retry")
        assert answer.text == "Retried 4 jobs."
        assert (await states(workflow))["start"] == "available"

    async def test_the_page_cancels_one_job(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        left = await workflow.get_job("left")
        assert left is not None
        answer = await operator.post(f"/workflows/the-one/jobs/{left.id}/cancel")
        assert answer.text == "Cancelled 1 job."
        assert await states(workflow) == {
            "start": "available",
            "left": "cancelled",
            "right": "suspended",
            "end": "cancelled",
        }

    async def test_retries_one_job_and_nothing_after_it(
        self, workflow: Workflow, operator: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        ids = [job.id for job in await workflow.all_jobs()]
        await set_state(pool, "completed", *ids)
        answer = await operator.post(f"/workflows/the-one/jobs/{ids[0]}/retry")
        assert answer.text == "Retried 1 job."
        assert (await states(workflow))["end"] == "completed"

    async def test_retries_from_a_job_on(
        self, workflow: Workflow, operator: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        jobs = {job.meta["name"]: job.id for job in await workflow.all_jobs()}
        await set_state(pool, "completed", *jobs.values())
        answer = await operator.post(f"/workflows/the-one/jobs/{jobs['left']}/retry-from")
        assert answer.text == "Retried 2 jobs."
        assert await states(workflow) == {
            "start": "completed",
            "left": "available",
            "right": "completed",
            "end": "suspended",
        }

    async def test_retries_from_a_nested_job_what_waits_for_its_workflow(
        self, oban: Oban, operator: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        sub = Workflow().add("x", work()).add("y", work(), deps="x").add("beside", work())
        outer = (
            Workflow(id="outer")
            .add("before", work())
            .add_workflow("sub", sub, deps="before")
            .add_many("many", {"m": work()}, deps="sub")
            .add("after", work(), deps="many")
        )
        await oban.enqueue_many(outer)
        jobs = {job.meta["name"]: job.id for job in await outer.all_jobs(with_subs=True)}
        await set_state(pool, "completed", *jobs.values())
        await operator.post(f"/workflows/outer/jobs/{jobs['x']}/retry-from")
        assert await states(outer) == {
            "before": "completed",
            "x": "available",
            "y": "suspended",
            "beside": "completed",
            "m": "suspended",
            "after": "suspended",
        }

    async def test_knows_no_other_actions(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        (job, *_) = await workflow.all_jobs()
        answer = await operator.post(f"/workflows/the-one/jobs/{job.id}/delete")
        assert answer.status_code == 404


class TestGroups:
    @pytest.fixture
    async def outer(self, oban: Oban) -> Workflow:
        outer = (
            Workflow(id="outer", ignore_cancelled=True)
            .add_workflow("sub", diamond())
            .add_many("many", [work() for _ in range(3)])
            .add("after", work(), deps="sub")
        )
        await oban.enqueue_many(outer)

        return outer

    async def key(self, client: httpx.AsyncClient, name: str) -> str:
        view = (await client.get("/workflows/outer/view.json")).json()

        return next(str(one["id"]) for one in view["members"] if one["name"] == name)

    async def test_are_cancelled_and_retried(
        self, outer: Workflow, operator: httpx.AsyncClient
    ) -> None:
        url = f"/workflows/outer/jobs/{await self.key(operator, 'many')}"
        assert (await operator.post(f"{url}/cancel")).text == "Cancelled 3 jobs."
        assert (await outer.status()).counts["cancelled"] == 3
        assert (await operator.post(f"{url}/retry")).text == "Retried 3 jobs."
        assert (await outer.status()).counts["cancelled"] == 0

    async def test_run_again_with_what_depends_on_them(
        self, outer: Workflow, operator: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        await set_state(
            pool, "completed", *[job.id for job in await outer.all_jobs(with_subs=True)]
        )
        url = f"/workflows/outer/jobs/{await self.key(operator, 'sub')}"
        assert (await operator.post(f"{url}/retry-from")).text == "Retried 5 jobs."
        counts = (await outer.status()).counts
        assert (counts["completed"], counts["available"], counts["suspended"]) == (3, 1, 4)

    async def test_of_other_workflows_are_not_found(
        self, outer: Workflow, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        key = await self.key(operator, "sub")

        for path in (f"the-one/jobs/{key}", "outer/jobs/-", "outer/jobs/-9", "outer/jobs/-x"):
            assert (await operator.post(f"/workflows/{path}/cancel")).status_code == 404


class TestStartingAgain:
    async def test_runs_all_of_it_with_the_same_arguments(
        self, run: Run, operator: httpx.AsyncClient
    ) -> None:
        workflow = (
            Workflow(id="the-one")
            .add_workflow("sub", diamond())
            .add_many("many", [work() for _ in range(3)], deps="sub")
            .add("beside", work())
            .add_final("report", work())
        )
        await run(workflow)
        before = {job.meta["name"]: job for job in await workflow.all_jobs(with_subs=True)}
        answer = await operator.post("/workflows/the-one/start-again")
        assert answer.text == "Started again: 8 jobs."
        await workflow.wait()
        after = {job.meta["name"]: job for job in await workflow.all_jobs(with_subs=True)}
        assert {name: job.args for name, job in after.items()} == {
            name: job.args for name, job in before.items()
        }
        assert all(job.attempted_at != before[name].attempted_at for name, job in after.items())
        assert {job.state for job in after.values()} == {"completed"}

    async def test_goes_forward_after_an_undo(
        self, run: Run, operator: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        workflow = (
            Workflow(id="the-one")
            .add("a", work(), undo=work())
            .add("b", work("fail", max_attempts=1), deps="a")
        )
        await run(workflow)
        assert "undo" in {group["name"] for group in await members(operator)}
        async with pool.connection() as conn:
            await conn.execute("UPDATE oban_jobs SET args = '{}' WHERE args ? 'do'")

        answer = await operator.post("/workflows/the-one/start-again")
        assert answer.text == "Started again: 2 jobs."
        assert (await workflow.wait()).state == "completed"

    async def test_needs_a_settled_workflow(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        answer = await operator.post("/workflows/the-one/start-again")
        assert answer.status_code == 409
        assert "is open; cancel it first" in answer.text

    async def test_says_who_holds_the_key(self, oban: Oban, operator: httpx.AsyncClient) -> None:
        first = Workflow(id="first", unique="key").add("a", work())
        await oban.enqueue_many(first)
        await first.cancel_jobs()
        await oban.enqueue_many(Workflow(id="second", unique="key").add("a", work()))
        answer = await operator.post("/workflows/first/start-again")
        assert answer.status_code == 409
        assert "second" in answer.text


class TestDeleting:
    async def test_removes_a_settled_workflow_and_leads_to_the_list(
        self, workflow: Workflow, operator: httpx.AsyncClient
    ) -> None:
        answer = await operator.post("/workflows/the-one/delete")
        assert answer.status_code == 409
        assert "is open" in answer.text
        await workflow.cancel_jobs()
        answer = await operator.post("/workflows/the-one/delete")
        assert (answer.text, answer.headers["HX-Redirect"]) == ("Deleted.", "/")
        assert (await operator.get("/workflows/the-one")).status_code == 404
        assert (await operator.post("/workflows/the-one/delete")).status_code == 404

    async def test_is_not_offered_for_a_part_of_another_one(
        self, oban: Oban, operator: httpx.AsyncClient
    ) -> None:
        outer = Workflow(id="outer").add_workflow("sub", Workflow().add("x", work()))
        (job,) = await oban.enqueue_many(outer)
        part = f"/workflows/{job.meta['workflow_id']}"
        assert 'id="delete"' not in (await operator.get(part)).text
        assert 'id="delete"' in (await operator.get("/workflows/outer")).text
        await outer.cancel_jobs()
        answer = await operator.post(f"{part}/delete")
        assert answer.status_code == 409
        assert "part of another one" in answer.text
