"""Row level security on oban_jobs hides no job from the engine, and releases what it hides."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from oban import Oban
from oban._extensions import use_ext
from oban._pruner import _prune as plain_prune
from psycopg.errors import InsufficientPrivilege

from oban_pro import Workflow, doctor, schema, signal
from oban_pro._plugin import timers
from oban_pro.engine.session import session_for, session_of
from oban_pro.errors import IncompleteWorkflowError, SchemaError
from tests.support.databases import Psql
from tests.support.graphs import diamond, work
from tests.support.roles import OBAN_TABLES, Roles, rights
from tests.support.silence import HEARD
from tests.support.waits import LATE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oban import Job
    from psycopg_pool import AsyncConnectionPool

    from tests.support.fixtures import WaitUntil

pytestmark = pytest.mark.slow

# A tenant sees the jobs whose meta names it, or that name none.
TENANTS = """
ALTER TABLE oban_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants ON oban_jobs
USING (COALESCE(meta ->> 'tenant', 'a') = current_setting('app.tenant', true))
"""


def tenant(name: str, job: Job | None = None) -> Job:
    job = job or work()
    job.meta["tenant"] = name

    return job


@pytest.fixture
async def split(owner_pool: AsyncConnectionPool, roles: Roles) -> Workflow:
    """Provide a stored workflow whose jobs belong to two tenants, each seeing its own alone."""
    await schema.install(owner_pool)
    roles.execute(TENANTS)
    workflow = (
        Workflow()
        .add("a", tenant("a"))
        .add("b", tenant("b"), deps="a")
        .add("c", tenant("a"), deps="b")
        .add("bad", tenant("a", work("cancel")))
        .add("broken", tenant("b"), deps="bad")
    )
    await Oban(pool=owner_pool).enqueue_many(workflow)

    return workflow


async def doctor_of(pool: AsyncConnectionPool) -> list[doctor.Difference]:
    """Check the books with a client that sees everything."""
    Oban(pool=pool)

    return await doctor.audit()


class TestTenants:
    """Row level security hides from each role the jobs of the other."""

    async def test_a_support_role_releases_what_it_does_not_see(
        self, split: Workflow, roles: Roles
    ) -> None:
        support = roles.make("GRANT SELECT, UPDATE ON oban_jobs TO {}")
        seen = roles.execute(
            "SET app.tenant = 'a'",
            "UPDATE oban_jobs SET state = 'completed' WHERE meta ->> 'name' = 'a'",
            "UPDATE oban_jobs SET state = 'cancelled' WHERE meta ->> 'name' = 'bad'",
            "SELECT count(*) FROM oban_jobs",
            role=support,
        )
        assert seen == [(3,)]
        assert Psql(roles.dsn).states() == {
            "a": "completed",
            "b": "available",
            "c": "suspended",
            "bad": "cancelled",
            "broken": "cancelled",
        }
        assert await doctor.audit() == []

    async def test_a_support_role_that_deletes_breaks_what_it_does_not_see(
        self, split: Workflow, roles: Roles
    ) -> None:
        support = roles.make("GRANT SELECT, DELETE ON oban_jobs TO {}")
        roles.execute("SET app.tenant = 'a'", "DELETE FROM oban_jobs", role=support)
        assert Psql(roles.dsn).states() == {"b": "cancelled", "broken": "cancelled"}
        assert await doctor.audit() == []

    @pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "ours"])
    async def test_nodes_of_tenants_run_a_workflow_together(
        self,
        split: Workflow,
        roles: Roles,
        wait_until: WaitUntil,
        is_plain: bool,
        request: pytest.FixtureRequest,
    ) -> None:
        role = roles.make_plain()
        if is_plain:
            request.getfixturevalue("without_us")
        else:
            roles.execute(schema.grants_sql(workers=[role]))
        async with self.node(roles, role, "a"), self.node(roles, role, "b"):
            await wait_until(lambda: self.is_settled(roles))
        assert Psql(roles.dsn).states() == {
            **dict.fromkeys(("a", "b", "c"), "completed"),
            **dict.fromkeys(("bad", "broken"), "cancelled"),
        }
        # An ack of a node with this package ends the execution.
        assert Psql(roles.dsn).rows("SELECT FROM oban_workflow_unended") == []
        assert await doctor.audit() == []

    @staticmethod
    @asynccontextmanager
    async def node(roles: Roles, role: str, name: str) -> AsyncIterator[Oban]:
        opts: dict[str, Any] = {"queues": {"default": 5}, "stager": {"interval": 0.05}}

        async with (
            roles.pool(role, name) as pool,
            Oban(pool=pool, name=name, node=name, pruner={"max_age": 3600}, **opts) as oban,
        ):
            yield oban

    @staticmethod
    def is_settled(roles: Roles) -> bool:
        open_states = {"available", "executing", "suspended", "retryable", "scheduled"}

        return not open_states & {*Psql(roles.dsn).states().values()}

    async def test_appending_moves_what_the_caller_does_not_see(
        self, split: Workflow, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(enqueuers=[role]))
        sub = Workflow(id="sub").add("x", tenant("a"))
        outer = Workflow(id="outer").add_workflow("sub", sub).add("y", tenant("b"), deps="sub")
        await Oban(pool=owner_pool).enqueue_many(outer)
        roles.execute("UPDATE oban_jobs SET state = 'cancelled' WHERE meta ->> 'name' = 'x'")
        assert Psql(roles.dsn).states()["y"] == "cancelled"
        async with roles.pool(role, "a") as pool:
            Oban(pool=pool)
            await Workflow(id="sub").append(Workflow().add("more", tenant("a")))
        Oban(pool=owner_pool)
        assert (await Workflow(id="sub").status()).state == "executing"
        assert await doctor.audit() == []

    async def test_an_id_of_hidden_jobs_stays_taken(
        self, owner_pool: AsyncConnectionPool, split: Workflow, roles: Roles
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(enqueuers=[role]))
        hidden = Workflow(id="taken").add("x", tenant("b"))
        await Oban(pool=owner_pool).enqueue_many(hidden)
        async with roles.pool(role, "a") as pool:
            with pytest.raises(IncompleteWorkflowError, match="'taken' has 0 of its 1 jobs"):
                await Oban(pool=pool).enqueue_many(Workflow(id="taken").add("x", tenant("a")))
        assert Psql(roles.dsn).rows("SELECT count(*) FROM oban_jobs") == [(6,)]

    async def test_the_pruner_keeps_what_it_does_not_see(
        self, owner_pool: AsyncConnectionPool, split: Workflow, roles: Roles
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(workers=[role]))
        await Oban(pool=owner_pool).enqueue_many(Workflow(id="own").add("own", tenant("a")))
        plain = tenant("b")
        plain.meta["name"] = "plain"
        (hidden,) = await Oban(pool=owner_pool).enqueue_many([plain])
        assert await signal(hidden.id or 0) == 1
        roles.execute(
            "UPDATE oban_jobs SET state = 'completed', completed_at = '2020-01-01'",
            "UPDATE oban_workflow_groups SET stopped_at = '2020-01-01'",
        )
        async with roles.pool(role, "a") as pool:
            await use_ext("pruner.prune", plain_prune, Oban(pool=pool)._query, 60, 1_000)
        assert {*Psql(roles.dsn).states()} == {"a", "b", "c", "bad", "broken", "plain"}
        assert Psql(roles.dsn).rows("SELECT job FROM oban_workflow_signals") == [(hidden.id,)]
        query = Oban(pool=owner_pool)._query
        await use_ext("pruner.prune", plain_prune, query, 60, 1_000)
        assert {*Psql(roles.dsn).states()} == set()
        assert Psql(roles.dsn).rows("SELECT job FROM oban_workflow_signals") == []

    async def test_silent_nodes_stay_known_whose_jobs_are_hidden(
        self, owner_pool: AsyncConnectionPool, split: Workflow, roles: Roles
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(workers=[role]))
        hours = "timezone('UTC', now()) - interval '{} hours'"
        producer = "00000000-0000-0000-0000-000000000001"
        roles.execute(
            HEARD,
            "INSERT INTO oban_workflow_producers (uuid, patience, left_at)"
            f" VALUES ('{producer}', 1, {hours.format(2)})",
            "UPDATE oban_jobs SET state = 'completed' WHERE meta ->> 'name' = 'a'",
            f"UPDATE oban_jobs SET state = 'executing', attempted_at = {hours.format(3)},"
            f" attempted_by = ARRAY['n', '{producer}'] WHERE meta ->> 'name' = 'b'",
        )
        async with roles.pool(role, "a") as pool:
            session = session_of(Oban(pool=pool)._query)
            assert await session.execute(lambda store: store.silent_jobs(60)) == []
        session = session_of(Oban(pool=owner_pool)._query)
        (found,) = await session.execute(lambda store: store.silent_jobs(60))
        assert "was silent" in (found.reason or "")

    async def test_time_runs_out_for_waits_that_a_node_does_not_see(
        self, owner_pool: AsyncConnectionPool, split: Workflow, roles: Roles
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(workers=[role]))
        workflow = Workflow().add_signal("approved", wait_for=60).add("last", work())
        await Oban(pool=owner_pool).enqueue_many(workflow)
        roles.execute(LATE)
        async with roles.pool(role, "b") as pool:
            await timers.tick(Oban(pool=pool)._query)
        assert Psql(roles.dsn).states()["approved"] == "cancelled"
        assert await doctor_of(owner_pool) == []

    async def test_the_doctor_refuses_to_judge_by_what_it_does_not_see(
        self, split: Workflow, roles: Roles
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(workers=[role]))
        async with roles.pool(role, "a") as pool:
            Oban(pool=pool)
            with pytest.raises(InsufficientPrivilege, match="row-level security"):
                await doctor.audit()
            with pytest.raises(InsufficientPrivilege, match="row-level security"):
                await session_for("Oban").execute(lambda store: store.repair(split.id))

    async def test_get_no_rights_on_the_tables_of_all(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        roles.execute(TENANTS)
        worker, reader = roles.make_plain(), roles.make("GRANT SELECT ON oban_jobs TO {}")
        everything = roles.make("GRANT SELECT ON oban_jobs TO {}", options="BYPASSRLS")
        said = sorted(await schema.install(owner_pool))
        assert len(said) == 3
        for kind, role in (("worker", worker), ("reader", reader)):
            assert rights(roles, role, "oban_workflow_groups") == ""
            (line,) = [one for one in said if role in one]
            assert f'install --grant-{kind} "{role}"' in line
            assert "nothing, as row level security limits what it sees" in line
        assert rights(roles, everything, "oban_workflow_groups") == "SELECT"

    async def test_see_in_the_view_what_they_see_in_oban_jobs(
        self, split: Workflow, roles: Roles
    ) -> None:
        if int(roles.execute("SHOW server_version_num")[0][0]) < 150_000:
            pytest.skip("this release has no views with the rights of the reader")

        reader = roles.make()
        roles.execute(schema.grants_sql(readers=[reader]))
        count = "SELECT jsonb_array_length(meta -> 'queues') FROM oban_workflows"
        assert roles.execute("SET app.tenant = 'c'", count, role=reader) == [(0,)]
        assert roles.execute("SET app.tenant = 'a'", count, role=reader) == [(1,)]

    async def test_forced_on_the_owner_are_refused(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        owner = roles.make("GRANT CREATE ON SCHEMA public TO {}")
        roles.execute(*(f'ALTER TABLE {table} OWNER TO "{owner}"' for table in OBAN_TABLES))
        roles.execute(TENANTS, "ALTER TABLE oban_jobs FORCE ROW LEVEL SECURITY")
        with pytest.raises(SchemaError, match=r"run: ALTER TABLE public.oban_jobs NO FORCE ROW"):
            await schema.install(owner_pool)
        roles.execute("ALTER TABLE oban_jobs NO FORCE ROW LEVEL SECURITY")
        await schema.install(owner_pool)

    async def test_forced_on_the_owner_later_are_an_error_and_nothing_waits_unseen(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        owner = roles.make("GRANT CREATE ON SCHEMA public TO {}")
        roles.execute(*(f'ALTER TABLE {table} OWNER TO "{owner}"' for table in OBAN_TABLES))
        await schema.install(owner_pool)
        await Oban(pool=owner_pool).enqueue_many([*diamond(), tenant("plain")])
        roles.execute(TENANTS, "ALTER TABLE oban_jobs FORCE ROW LEVEL SECURITY")
        support = roles.make("GRANT SELECT, UPDATE ON oban_jobs TO {}")
        complete = "UPDATE oban_jobs SET state = 'completed' WHERE "
        with pytest.raises(psycopg.Error, match=r"run: ALTER TABLE public.oban_jobs NO FORCE ROW"):
            roles.execute("SET app.tenant = 'a'", complete + "meta ? 'workflow_id'", role=support)
        roles.execute("SET app.tenant = 'plain'", complete + "true", role=support)
        assert Psql(roles.dsn).rows("SELECT count(*) FROM oban_jobs WHERE state = 'completed'") == [
            (1,)
        ]
