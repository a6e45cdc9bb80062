"""Each documented role does what it is for; for the rest an error names the GRANT."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from oban import Oban
from psycopg.errors import InsufficientPrivilege
from psycopg_pool import AsyncConnectionPool

from oban_pro import doctor
from oban_pro.errors import MissingRightError
from oban_pro.web import create_app
from tests.support.dashboard import TOKEN, browse
from tests.support.operations import OPERATIONS
from tests.support.roles import ActingNode, Actor, Roles, grants_to
from tests.support.stored import TINY, fill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.databases import Server

pytestmark = pytest.mark.slow

READING = {
    *("audit_one_workflow", "status", "status_of_a_large_workflow", "wait", "get_a_job"),
    *("wait_for_results", "read_traces", "search_workflows", "stream_results"),
    *("compare_timings", "load_a_lazy_context"),
    *("get_jobs_of_a_large_workflow", "get_all_jobs", "get_the_jobs_that_one_depends_on"),
    *("get_the_jobs_that_the_last_of_a_large_workflow_depends_on", "get_results"),
    *("get_the_context", "explain_what_waits", "explain_what_broke"),
    *("explain_what_waits_in_a_large_workflow", "explain_what_broke_in_a_large_workflow"),
    *("fetch_the_graph", "list_jobs_in_some_states"),
    *("list_jobs_of_a_large_workflow_in_some_states", "pages", "pages_of_a_large_workflow"),
    *("pages_of_a_large_workflow_that_broke", "load_the_contexts_of_many_jobs"),
    "pages_about_the_runs_of_a_name",
    *("load_the_contexts_of_jobs_of_many_workflows",),
    *("load_a_context_with_results_of_a_nested_workflow", "list_the_newest_workflows"),
    *("explain_what_follows_an_execution", "look_at_what_waits_for_signals_and_times"),
    *("look_at_waits_of_stored_workflows", "list_what_waits", "read_the_signals_of_waits"),
    # who may not read a sequence finds none that is behind
    *("look_at_sequences", "repair_sequences"),
}
ENQUEUEING = {name for name in OPERATIONS if name.startswith(("enqueue_", "append_"))} | {"graft"}

# What is done with oban's tables by oban itself and by psql, whom the triggers see.
PLAIN = {
    "fetch",
    *("cancel_as_oban_does", "retry_as_oban_does", "delete_a_job", "delete_settled_jobs"),
    "delete_a_job_that_got_a_signal",
    *("complete_with_psql", "settle_a_whole_workflow_with_psql", "start_a_job_too_early_with_psql"),
}

# What neither reads nor changes a table.
HARMLESS = {"limit_how_long_an_ack_waits"}

# What psql does with a function that a role needs a right on.
CALLING = {"signal_with_psql"}

WORKING = OPERATIONS.keys() - READING - ENQUEUEING - PLAIN - HARMLESS - CALLING

# Nodes do these again and again, beside everything else: whatever fails is logged.
LOGGED = {"tick_with_nothing_to_do", "tick_after_a_workflow_has_settled"}

# Begun by a statement of oban's own, which says what PostgreSQL says.
BEGUN_BY_OBAN = {
    *("end_a_workflow_with_final_jobs", "undo_a_workflow"),
    *("run_a_limited_fan_out", "take_jobs_of_limited_queues"),
}

# A tick whose function raises is told by a warning.
WARNED = {"fire_a_schedule": 2}

# Said by a page, see below.
PAGES = {
    *(name for name in OPERATIONS if name.startswith("pages")),
    *("list_the_newest_workflows", "retry_from_a_job_on", "answer_waits_on_the_page"),
    *("act_on_a_settled_workflow_and_its_groups", "act_on_several_jobs_and_workflows"),
}

FORBIDDEN = {
    "enqueuer": WORKING,
    "reader": WORKING | ENQUEUEING,
    # the rest a node does as oban does
    "plain": {"cancel_a_workflow", "cancel_some_jobs", "retry_a_workflow", "repair_one_workflow"},
    "stranger": WORKING | ENQUEUEING | READING,
}


@pytest_asyncio.fixture(scope="class", loop_scope="session")
async def filled(postgres: Server, template: str) -> AsyncIterator[str]:
    """Provide a database with some workflows in it, which all tests of a class change."""
    with postgres.database(template) as name:
        dsn = postgres.dsn(name)
        await fill(dsn, TINY)
        # Before PostgreSQL 17 a moment without end cannot be subtracted from.
        Roles(dsn).execute("UPDATE oban_producers SET updated_at = now() + interval '1 day'")
        yield dsn


@pytest.fixture(scope="class")
def roles(filled: str) -> Iterator[Roles]:
    roles = Roles(filled)
    yield roles
    roles.drop()


@pytest.fixture(scope="class")
def named(roles: Roles) -> dict[str, str]:
    """Provide a role of each kind, a plain one, and one that has no rights at all."""
    kinds = {kind: roles.make() for kind in ("worker", "enqueuer", "reader")}
    roles.execute(*(grants_to(kind, name) for kind, name in kinds.items()))

    return {**kinds, "plain": roles.make_plain(), "stranger": roles.make()}


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def node(kind: str, filled: str, named: dict[str, str]) -> AsyncIterator[ActingNode]:
    """Provide a node that acts as a role of some kind while it is looked at."""
    actor = Actor(named[kind])

    async with AsyncConnectionPool(
        filled, min_size=1, max_size=4, open=False, check=actor.become
    ) as pool:
        yield ActingNode(Oban(pool=pool), actor=actor)


def cases(allowed: dict[str, set[str]]) -> pytest.MarkDecorator:
    pairs = [(kind, name) for kind, names in allowed.items() for name in sorted(names)]

    return pytest.mark.parametrize(("kind", "name"), pairs, indirect=["kind"])


class TestAllowed:
    @cases(
        {
            "worker": {*OPERATIONS},
            "enqueuer": ENQUEUEING | HARMLESS,
            "reader": READING | HARMLESS,
            "plain": PLAIN,
        }
    )
    async def test_a_role_with_its_grants_does_each_operation(
        self, node: ActingNode, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        await OPERATIONS[name](node)
        warnings = [one for one in caplog.records if one.levelno >= logging.WARNING]
        assert len(warnings) == WARNED.get(name, 0)

        if "vanished" not in name:
            assert await doctor.audit() == []

    @pytest.mark.parametrize("kind", ["plain"], indirect=True)
    async def test_without_rights_a_node_does_as_oban_does_and_says_so_once(
        self, node: ActingNode, caplog: pytest.LogCaptureFixture
    ) -> None:
        await OPERATIONS["complete_all_of_a_nested_workflow"](node)
        assert await doctor.audit() == []
        (warning,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
        assert warning.getMessage().startswith("Doing as oban does without this package: role")
        assert "GRANT " in warning.getMessage()


class TestForbidden:
    @cases({kind: names - LOGGED - BEGUN_BY_OBAN - PAGES for kind, names in FORBIDDEN.items()})
    async def test_a_forbidden_operation_names_the_missing_grant(
        self, node: ActingNode, name: str
    ) -> None:
        with pytest.raises(MissingRightError) as raised:
            await OPERATIONS[name](node)

        assert "GRANT " in str(raised.value)
        assert f'TO "{node.actor.role}"' in str(raised.value)

    @cases(dict.fromkeys(("enqueuer", "reader", "stranger"), PLAIN))
    async def test_is_refused_by_postgresql(self, node: ActingNode, name: str) -> None:
        with pytest.raises(InsufficientPrivilege, match="permission denied for table oban_jobs"):
            await OPERATIONS[name](node)

    @cases(dict.fromkeys(("enqueuer", "reader", "plain", "stranger"), CALLING))
    async def test_call_is_refused_by_postgresql(self, node: ActingNode, name: str) -> None:
        with pytest.raises(InsufficientPrivilege, match="denied for function oban_workflow_signal"):
            await OPERATIONS[name](node)

    @pytest.mark.parametrize("kind", ["stranger"], indirect=True)
    async def test_page_shows_the_grant(self, node: ActingNode) -> None:
        await node.enqueue(workflow := node.nested())

        async with browse(create_app(node.query._pool)) as client:
            with node.looked_at():
                for path in ("/", f"/workflows/{workflow.id}", f"/workflows/{workflow.id}/jobs"):
                    response = await client.get(path)
                    assert response.status_code == 503
                    assert "GRANT USAGE" not in response.text
                    assert "GRANT SELECT ON TABLE public.oban_workflow_" in response.text

    @pytest.mark.parametrize("kind", ["reader"], indirect=True)
    async def test_action_of_the_page_shows_the_grant(self, node: ActingNode) -> None:
        (job, *_) = await node.enqueue(workflow := node.nested())
        app = create_app(node.query._pool, allow_operations=True, token=TOKEN)

        async with browse(app) as client:
            with node.looked_at():
                await client.get("/unlock", params={"token": TOKEN})
                client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")

                for action in ("cancel", "retry", "retry-from", "signal", "reject"):
                    path = f"/workflows/{workflow.id}/jobs/{job.id}/{action}"
                    response = await client.post(path)
                    assert response.status_code == 503
                    assert "GRANT " in response.text
                    assert "--grant-worker" in response.text

    @pytest.mark.parametrize("kind", ["reader", "stranger"], indirect=True)
    async def test_plain_jobs_name_the_grant_too(self, node: ActingNode) -> None:
        for jobs in ([node.job()], [node.job(), node.job()]):
            with node.looked_at(), pytest.raises(MissingRightError, match=r"GRANT .*INSERT"):
                await node.oban.enqueue_many(jobs)
