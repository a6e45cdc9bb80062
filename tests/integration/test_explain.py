"""Why a job waits, or what broke it."""

from typing import Any
from uuid import uuid4

import pytest
from oban import Oban
from oban.testing import drain_queue
from psycopg import AsyncConnection

from oban_pro import Workflow, errors, sql
from oban_pro.testing import run_workflow
from tests.support.explained import nodes_of
from tests.support.fixtures import StartOban
from tests.support.graphs import Work, diamond, work


def failing(**params: Any) -> Any:
    return work("fail", max_attempts=1, **params)


async def chain_of(workflow: Workflow, name: str) -> list[str]:
    return ["/".join(link.path) for link in (await workflow.explain(name)).chain]


class TestOfAJobThatBroke:
    async def test_says_why_one_was_discarded(self, oban: Oban) -> None:
        workflow = Workflow().add("a", failing())
        await run_workflow(workflow, with_safety=True)
        found = await workflow.explain("a")
        assert (found.reason, found.summary) == (
            "discarded",
            "job 'a' was discarded after 1 of 1 attempts: RuntimeError: told to fail",
        )
        assert found.subject is found.cause

    async def test_says_why_one_cancelled_itself(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work("cancel"))
        await run_workflow(workflow)
        found = await workflow.explain("a")
        assert (found.reason, found.summary) == (
            "cancelled",
            "job 'a' was cancelled: told to cancel",
        )

    async def test_says_that_somebody_cancelled_one(self, oban: Oban) -> None:
        workflow = Workflow().add("a", failing()).add("b", work(), deps="a")
        await oban.enqueue_many(workflow)
        await workflow.cancel_jobs(names=["b"])
        await run_workflow(workflow, with_safety=True)
        assert (await workflow.explain("b")).summary == "job 'b' was cancelled"

    async def test_follows_upstream_to_the_first_cause(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("a", failing())
            .add("b", work(), deps="a")
            .add("c", work(), deps="b")
            .add("d", work(), deps="c")
        )
        await run_workflow(workflow, with_safety=True)
        found = await workflow.explain("d")
        assert [link.path for link in found.chain] == [("d",), ("c",), ("b",), ("a",)]
        assert [link.state for link in found.chain] == ["cancelled"] * 3 + ["discarded"]
        assert (found.reason, found.summary) == (
            "upstream",
            "job 'd' was cancelled because job 'a' was discarded after 1 of 1 attempts:"
            " RuntimeError: told to fail",
        )

    async def test_goes_into_groups_and_out_through_their_gates(self, oban: Oban) -> None:
        deep = Workflow().add("x", work()).add("y", work(), deps="x")
        workflow = (
            Workflow()
            .add_many("many", [work(), failing(), work()])
            .add_workflow("sub", Workflow().add_workflow("deep", deep), deps="many")
            .add("end", work(), deps="sub")
        )
        await run_workflow(workflow, with_safety=True)
        assert await chain_of(workflow, "end") == [
            "end",
            "sub",
            "sub/deep",
            "sub/deep/x",
            "many",
            "many/1",
        ]

    async def test_takes_the_upstream_that_its_error_names(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("late", failing(scheduled_in=60))
            .add("early", work("cancel"))
            .add("end", work(), deps=["late", "early"])
        )
        await run_workflow(workflow, with_safety=True)
        assert await chain_of(workflow, "end") == ["end", "early"]

    async def test_goes_by_the_key_of_an_error_and_not_by_its_sentence(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        workflow = Workflow().add("a", failing()).add("b", work(), deps="a")
        await run_workflow(workflow, with_safety=True)
        job = await workflow.get_job("a")
        assert job is not None
        translate = """
            UPDATE oban_jobs SET errors = jsonb_set(errors, '{-1,error}', '"a war kaputt"')
            WHERE meta ->> 'name' = 'b' RETURNING errors -> -1 -> 'upstream'
        """
        assert await (await conn.execute(translate)).fetchall() == [(job.id,)]
        assert await chain_of(workflow, "b") == ["b", "a"]

    async def test_takes_no_sentence_of_somebody_else_for_the_key(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        workflow = Workflow().add("a", work()).add("b", work("cancel"), deps="a")
        await run_workflow(workflow, with_safety=True)
        forged = "cancelled because upstream job 'a' was completed"
        await conn.execute(
            "UPDATE oban_jobs SET errors = jsonb_set(errors, '{-1,error}', to_jsonb(%s::text))"
            " WHERE meta ->> 'name' = 'b'",
            [forged],
        )
        found = await workflow.explain("b")
        assert (found.reason, found.subject.caused) == ("cancelled", False)

    async def test_passes_over_what_the_job_ignores(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("cancelled", work("cancel"))
            .add("discarded", failing())
            .add("end", work(), deps=["cancelled", "discarded"], ignore_cancelled=True)
        )
        await run_workflow(workflow, with_safety=True)
        assert await chain_of(workflow, "end") == ["end", "discarded"]

    async def test_says_that_an_upstream_was_deleted(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        workflow = Workflow().add("a", work()).add("b", work(), deps="a")
        await oban.enqueue_many(workflow)
        await conn.execute("DELETE FROM oban_jobs WHERE state = 'available'")
        found = await workflow.explain("b")
        assert (
            found.summary == "job 'b' was cancelled because job 'a' was deleted before it settled"
        )
        assert (await workflow.explain("a")).reason == "deleted"

    async def test_takes_an_upstream_that_is_retried_for_no_cause(self, oban: Oban) -> None:
        workflow = Workflow().add("a", failing()).add("b", work(), deps="a")
        await run_workflow(workflow, with_safety=True)
        await workflow.retry_jobs(names=["a"])
        found = await workflow.explain("b")
        assert (found.reason, found.cause) == ("upstream", found.subject)
        assert "upstream job 'a' was discarded" in found.summary

    async def test_of_a_group_names_the_job_in_it(self, oban: Oban) -> None:
        workflow = Workflow().add_workflow("sub", Workflow().add("x", failing()))
        await run_workflow(workflow, with_safety=True)
        assert (await workflow.explain("sub")).summary == (
            "sub-workflow 'sub' was discarded because job 'sub/x' was discarded after 1 of 1"
            " attempts: RuntimeError: told to fail"
        )

    async def test_follows_a_long_way(self, oban: Oban) -> None:
        workflow = Workflow().add("0", failing())

        for number in range(1, 500):
            workflow.add(f"{number}", work(), deps=f"{number - 1}")

        await run_workflow(workflow, with_safety=True)
        assert (await workflow.explain("499")).cause.path == ("0",)


class TestOfAJobThatWaits:
    async def test_counts_and_lists_what_it_waits_for(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("done", work())
            .add("later", work(scheduled_in=3600))
            .add("much later", work(scheduled_in=7200))
            .add("end", work(), deps=["done", "later", "much later"])
        )
        await oban.enqueue_many(workflow)
        await drain_queue(with_scheduled=False)
        found = await workflow.explain("end")
        assert (found.reason, len(found.deps)) == ("waiting", 3)
        assert [dep.path for dep in found.waits_for] == [("later",), ("much later",)]
        assert found.summary.startswith(
            "job 'end' waits for 2 of 3 dependencies; job 'later' is scheduled to run in "
        )

    async def test_leads_to_what_has_to_move_first(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("a", work(queue="nobody"))
            .add_workflow("sub", diamond(), deps="a")
            .add("end", work(), deps="sub")
        )
        await oban.enqueue_many(workflow)
        assert await chain_of(workflow, "end") == ["end", "sub", "sub/start", "a"]
        found = await workflow.explain("end")
        assert found.summary == (
            "job 'end' waits for its dependency; job 'a' could run, but no node runs queue 'nobody'"
        )
        assert (await workflow.explain("sub/start")).waits_for[0].path == ("a",)

    async def test_tells_one_that_waits_although_its_upstream_broke(self, oban: Oban) -> None:
        workflow = Workflow().add("a", failing()).add("b", work(), deps="a")
        await run_workflow(workflow, with_safety=True)
        await workflow.retry_jobs(names=["b"])
        found = await workflow.explain("b")
        assert (found.state, found.reason) == ("suspended", "waiting")
        assert "job 'a' was discarded after 1 of 1 attempts" in found.summary

    async def test_finds_what_was_grafted(self, oban: Oban) -> None:
        workflow = (
            Workflow().add_graft("graft", work(queue="nobody")).add("b", work(), deps="graft")
        )
        await oban.enqueue_many(workflow)
        found = await workflow.explain("b")
        assert [(link.kind, link.path) for link in found.chain] == [
            ("job", ("b",)),
            ("graft", ("graft",)),
            ("job", ("graft",)),
        ]


class TestOfAJobThatWaitsForNothing:
    async def test_says_when_one_is_scheduled(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work(scheduled_in=86_460))
        await oban.enqueue_many(workflow)
        found = await workflow.explain("a")
        assert found.reason == "scheduled"
        assert found.summary.startswith("job 'a' is scheduled to run in 1d")

    async def test_says_when_one_is_tried_again(self, oban: Oban) -> None:
        workflow = Workflow().add("a", Work.new({"do": "fail", "delay": 3600}, max_attempts=3))

        with pytest.raises(RuntimeError):
            await run_workflow(workflow)

        found = await workflow.explain("a")
        assert found.reason == "retrying"
        assert found.summary.startswith("job 'a' failed in attempt 1 of 3 and is tried again in ")
        assert found.summary.endswith(": RuntimeError: told to fail")

    async def test_tells_whether_a_node_runs_its_queue(
        self, oban: Oban, start_oban: StartOban, conn: AsyncConnection
    ) -> None:
        workflow = Workflow().add("a", work(queue="busy"))
        await oban.enqueue_many(workflow)
        assert (await workflow.explain("a")).reason == "unserved"
        node = await start_oban({"busy": {"limit": 1, "paused": True}})
        found = await workflow.explain("a")
        assert (found.reason, found.subject.paused) == ("paused", 1)
        assert found.summary == "job 'a' could run, but queue 'busy' is paused"
        await conn.execute("UPDATE oban_producers SET meta = jsonb_set(meta, '{paused}', 'false')")
        found = await workflow.explain("a")
        assert (found.reason, found.subject.nodes) == ("queued", 1)
        assert found.summary == "job 'a' is next in queue 'busy', which 1 node runs"
        await node.stop()

    async def test_counts_a_node_for_as_long_as_rescuing_waits_for_it(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        workflow = Workflow().add("a", work(queue="slow")).add("b", work(queue="plain"))
        await oban.enqueue_many(workflow)

        for queue, meta in (("slow", {"oban_workflows_patience": 300}), ("plain", {})):
            await oban._query.insert_producer(
                uuid=str(uuid4()), name="Oban", node="node", queue=queue, meta=meta
            )

        async def reasons(age: str) -> list[str]:
            await conn.execute(
                "UPDATE oban_producers SET updated_at = timezone('UTC', now()) - %s::interval",
                [age],
            )

            return [(await workflow.explain(name)).reason for name in "ab"]

        assert await reasons("50 s") == ["queued", "queued"]
        assert await reasons("200 s") == ["queued", "unserved"]
        assert await reasons("400 s") == ["unserved", "unserved"]

    async def test_tells_that_who_runs_one_is_silent(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        workflow = Workflow().add("a", work())
        await oban.enqueue_many(workflow)
        uuid = str(uuid4())
        await oban._query.insert_producer(
            uuid=uuid, name="Oban", node="node", queue="default", meta={}
        )
        await oban._query.fetch_jobs(demand=1, queue="default", node="node", uuid=uuid)
        assert (await workflow.explain("a")).reason == "running"
        await conn.execute("UPDATE oban_producers SET updated_at = updated_at - interval '61 s'")
        assert (await workflow.explain("a")).reason == "orphaned"

    async def test_tells_who_runs_one_and_whether_it_lives(
        self, oban: Oban, start_oban: StartOban, conn: AsyncConnection
    ) -> None:
        workflow = Workflow().add("a", work())
        await oban.enqueue_many(workflow)
        await start_oban({"other": 1})
        cursor = await conn.execute("SELECT node, uuid::text FROM oban_producers")
        node, uuid = await cursor.fetchone() or ("", "")
        await oban._query.fetch_jobs(demand=1, queue="default", node=node, uuid=uuid)
        found = await workflow.explain("a")
        assert found.reason == "running"
        assert found.summary.startswith("job 'a' has been running on 'node-1' for 0.")
        await conn.execute("DELETE FROM oban_producers")
        found = await workflow.explain("a")
        assert found.reason == "orphaned"
        assert "which is gone" in found.summary

    async def test_says_that_one_is_completed(self, oban: Oban) -> None:
        workflow = diamond()
        await run_workflow(workflow)
        found = await workflow.explain("end")
        assert (found.reason, found.summary) == ("completed", "job 'end' was completed")
        assert found.waits_for == ()


class TestNames:
    async def test_explain_takes_the_path_of_a_nested_job(self, oban: Oban) -> None:
        workflow = Workflow().add_workflow("a", Workflow().add("b", work()))
        await oban.enqueue_many(workflow)
        assert (await workflow.explain("a/b")).subject.path == ("a", "b")

    async def test_that_are_unknown_raise_and_suggest_one(self, oban: Oban) -> None:
        workflow = Workflow(id="w").add_workflow("sub", diamond())
        await oban.enqueue_many(workflow)

        with pytest.raises(errors.UnknownNameError, match=r"'sub/strat' .* mean 'sub/start'\?"):
            await workflow.explain("sub/strat")

    async def test_in_no_workflow_raise(self, oban: Oban) -> None:
        with pytest.raises(errors.UnknownWorkflowError, match="no workflow 'w'"):
            await Workflow(id="w").explain("a")


class TestPlan:
    async def test_looks_each_link_up_by_its_key_however_many_jobs_there_are(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        await oban.enqueue_many(Workflow().add_many("many", [work() for _ in range(3000)]))
        await oban.enqueue_many(diamond(id="w"))
        await conn.execute("ANALYZE")
        statement = "EXPLAIN (FORMAT json) " + sql.statement("queries/chain", "public")
        cursor = await conn.execute(statement.encode(), {"id": "w", "name": "end"})
        (plan,) = (await cursor.fetchone() or ([],))[0]
        (recursion,) = (
            node for node in nodes_of(plan["Plan"]) if node["Node Type"] == "Recursive Union"
        )
        scans = {(node["Node Type"], node.get("Relation Name")) for node in nodes_of(recursion)}
        assert ("Index Scan", "oban_jobs") in scans
        assert ("Seq Scan", "oban_jobs") not in scans
