"""What installing changes for the roles of a database, and what each of ours may not do."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from oban import Oban
from psycopg.errors import InsufficientPrivilege
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, doctor, schema
from oban_pro.errors import MissingRightError
from tests.support import growth
from tests.support.cli import invoke
from tests.support.databases import Psql
from tests.support.graphs import diamond, settled, work
from tests.support.roles import ALL, KEPT, OBAN_TABLES, OURS, Roles, grants_to, rights

if TYPE_CHECKING:
    from tests.support.fixtures import WaitUntil

pytestmark = pytest.mark.slow


class TestInstalling:
    async def test_copies_the_rights_on_oban_jobs_and_says_so(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        worker = roles.make_plain()
        enqueuer = roles.make("GRANT SELECT, INSERT ON oban_jobs TO {}")
        reader = roles.make("GRANT SELECT ON oban_jobs TO {}")
        support = roles.make("GRANT SELECT, UPDATE ON oban_jobs TO {}")
        blind = roles.make("GRANT INSERT ON oban_jobs TO {}")
        of_columns = roles.make("GRANT SELECT (id), UPDATE (state) ON oban_jobs TO {}")
        said = await schema.install(owner_pool)
        expected = {worker: "a worker", enqueuer: "an enqueuer", reader: "a reader"}
        expected[support] = "a reader"
        told = 'granted "{}" what goes with its rights on oban_jobs, those of {}'
        assert sorted(said) == sorted(told.format(*one) for one in expected.items())
        table = "oban_workflow_groups"
        assert rights(roles, worker, table) == ALL
        assert rights(roles, enqueuer, table) == "SELECT, INSERT"
        assert rights(roles, reader, table) == rights(roles, support, table) == "SELECT"
        assert rights(roles, blind, table) == rights(roles, of_columns, table) == ""
        assert rights(roles, worker, "oban_workflow_migrations") == "SELECT"

    async def test_copies_the_rights_of_everybody(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        role = roles.make()
        roles.execute("GRANT SELECT ON oban_jobs TO PUBLIC")
        assert await schema.install(owner_pool) == [
            "granted PUBLIC what goes with its rights on oban_jobs, those of a reader"
        ]
        assert rights(roles, role, "oban_workflow_groups") == "SELECT"

    async def test_again_leaves_rights_as_they_are(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        role = roles.make_plain()
        await schema.install(owner_pool)
        roles.execute(f'REVOKE DELETE ON oban_workflow_groups FROM "{role}"')
        assert await schema.install(owner_pool) == []
        assert rights(roles, role, "oban_workflow_groups") == "SELECT, INSERT, UPDATE"

    async def test_copies_rights_on_a_table_that_an_upgrade_makes(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        worker, reader = roles.make_plain(), roles.make()
        await schema.install(owner_pool, readers=[reader])
        # As if it came with a release after this one.
        roles.execute(
            "DROP TABLE oban_workflow_unended",
            "DROP VIEW oban_workflows",
            "DELETE FROM oban_workflow_migrations WHERE version = 2",
            "ALTER TABLE oban_workflow_groups DROP COLUMN rules",
        )
        said = await schema.install(owner_pool)
        assert {one.split('"')[1] for one in said} == {worker, reader}
        assert rights(roles, worker, "oban_workflow_unended") == ALL
        assert rights(roles, reader, "oban_workflow_unended") == "SELECT"

    async def test_lets_every_role_go_on(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        role = roles.make_plain()
        support = roles.make("GRANT SELECT (id), UPDATE (state) ON oban_jobs TO {}")
        report = roles.make("GRANT SELECT ON oban_jobs TO {}")
        await schema.install(owner_pool)
        await Oban(pool=owner_pool).enqueue_many(Workflow().add("a", work()))
        roles.execute(f'REVOKE ALL ON {", ".join(OURS)} FROM "{role}"')
        producer = "(uuid, name, node, queue) VALUES (gen_random_uuid(), 'o', 'n', 'q')"
        roles.execute(
            f"INSERT INTO oban_producers {producer}",
            "DELETE FROM oban_producers",
            "INSERT INTO oban_jobs (worker) VALUES ('w')",
            "UPDATE oban_jobs SET state = 'completed'",
            "DELETE FROM oban_jobs",
            role=role,
        )
        roles.execute("UPDATE oban_jobs SET state = 'cancelled' WHERE id > 0", role=support)
        roles.execute("SELECT * FROM oban_jobs", role=report)

    async def test_gives_everything_to_the_owner_of_oban_jobs(
        self, owner_pool: AsyncConnectionPool, roles: Roles, wait_until: WaitUntil
    ) -> None:
        role = roles.make("GRANT CREATE ON SCHEMA public TO {}")
        roles.execute(*(f'ALTER TABLE {table} OWNER TO "{role}"' for table in OBAN_TABLES))
        await schema.install(owner_pool)
        owners = """
            SELECT DISTINCT pg_get_userbyid(owner) FROM (
              SELECT relname, relowner FROM pg_class UNION ALL SELECT proname, proowner FROM pg_proc
            ) o (name, owner)
            WHERE starts_with(name, 'oban_workflow')
        """
        assert roles.execute(owners) == [(role,)]
        async with roles.pool(role) as pool:
            await schema.install(pool)
            workflow = diamond()
            async with Oban(pool=pool, queues={"default": 5}, stager={"interval": 0.05}) as oban:
                await oban.enqueue_many(workflow)
                await wait_until(lambda: settled(workflow))
                assert (await workflow.status()).counts == {"completed": 4}

    async def test_works_where_functions_are_not_for_everybody(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        roles.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        worker, reader = roles.make_plain(), roles.make()
        await schema.install(owner_pool, readers=[reader])
        async with roles.pool(worker) as pool:
            workflow = diamond()
            await Oban(pool=pool).enqueue_many(workflow)
            await workflow.cancel_jobs()
        async with roles.pool(reader) as pool:
            Oban(pool=pool)
            assert (await workflow.explain("end")).summary

    async def test_is_for_the_owner(self, owner_pool: AsyncConnectionPool, roles: Roles) -> None:
        ((owner,),) = roles.execute("SELECT current_user")
        role = roles.make("GRANT CREATE, USAGE ON SCHEMA public TO {}")
        done = await asyncio.to_thread(invoke, roles.as_role(role), "install")
        assert f"are {owner}'s, so do it as that role" in done.stderr
        await schema.install(owner_pool)
        done = await asyncio.to_thread(invoke, roles.as_role(role), "uninstall", "--yes")
        assert f"are {owner}'s, so do it as that role" in done.stderr

    async def test_tells_who_got_what_on_the_command_line(
        self, owner_pool: AsyncConnectionPool, roles: Roles
    ) -> None:
        plain, worker, enqueuer, reader = roles.make_plain(), *(roles.make() for _ in range(3))
        arguments = ["--grant-worker", worker, "--grant-enqueuer", enqueuer]
        arguments += ["--grant-reader", reader, "--grant-reader", plain]
        done = await asyncio.to_thread(invoke, roles.dsn, "install", *arguments)
        assert done.exit_code == 0
        assert done.output.splitlines()[1:] == [
            f'Granted "{plain}" what goes with its rights on oban_jobs, those of a worker.',
            f"Granted {worker} what a worker needs.",
            f"Granted {enqueuer} what an enqueuer needs.",
            f"Granted {reader} what a reader needs.",
            f"Granted {plain} what a reader needs.",
        ]
        assert rights(roles, worker, "oban_jobs") == ALL
        assert rights(roles, enqueuer, "oban_jobs") == "SELECT, INSERT"
        assert rights(roles, reader, "oban_jobs") == "SELECT"
        again = await asyncio.to_thread(invoke, roles.dsn, "install", *arguments)
        assert again.output.splitlines()[1:] == done.output.splitlines()[2:]

    def test_prints_the_same_as_sql(self, dsn: str, roles: Roles) -> None:
        worker = roles.make()
        done = invoke("", "grants", "--worker", worker)
        assert done.stdout == schema.grants_sql(workers=[worker]) + "\n"
        roles.execute(done.stdout)
        assert rights(roles, worker, "oban_jobs") == ALL

    def test_refuses_a_role_that_does_not_exist(self, dsn: str, tmp_path: Path) -> None:
        done = invoke(dsn, "install", "--grant-reader", "nobody-of-that-name")
        assert done.exit_code == 1
        assert 'role "nobody-of-that-name" does not exist' in done.stderr


ANYBODY = [
    "SELECT oban_workflow_reserve_v1(1, 1)",
    "SELECT oban_workflow_lock_root_v1('w')",
    "SELECT oban_workflow_free_ids_v1('{w}')",
    "SELECT oban_workflow_add_to_group_v1(-1, 1, 1, 1, 1, 1)",
    "SELECT oban_workflow_break_jobs_v2('{1}', '{-1}', '{x}')",
    "SELECT oban_workflow_admit_v1(-1, 0::smallint, '{}')",
    "SELECT oban_workflow_signal('w', 'a')",
    "SELECT oban_workflow_tick_v1(NULL, 1)",
]
WRITES = ["INSERT INTO {} DEFAULT VALUES", "UPDATE {} SET {} = {}", "DELETE FROM {}"]
COLUMNS = {
    "oban_jobs": "queue",
    "oban_leaders": "node",
    "oban_producers": "node",
    "oban_workflow_groups": "name",
    "oban_workflow_members": "name",
    "oban_workflow_edges": "upstream",
    "oban_workflow_unended": "producer",
    "oban_workflow_producers": "patience",
    "oban_workflow_hearing": "heard_from",
    "oban_workflow_waits": "kind",
    "oban_workflow_timers": "error",
    "oban_workflow_joins": "need",
    "oban_workflow_pauses": "paused_by",
    "oban_workflow_schedules": "error",
    "oban_workflow_finals": "runs_on",
    "oban_workflow_ends": "outcome",
    "oban_workflow_undos": "late",
    "oban_workflow_queues": "allowed",
    "oban_workflow_windows": "started",
    "oban_workflow_keys": "former",
    "oban_workflow_signals": "sender",
    "oban_workflow_awaits": "name",
    "oban_workflow_migrations": "version",
}


def writes(*tables: str, kinds: tuple[int, ...] = (0, 1, 2)) -> list[str]:
    return [
        WRITES[kind].replace("{}", table, 1).replace("{}", COLUMNS[table])
        for table in tables
        for kind in kinds
    ]


EVERY_TABLE = [*OBAN_TABLES, *OURS, "oban_workflow_migrations"]
OF_THE_OWNER = [
    *(f"TRUNCATE {table}" for table in EVERY_TABLE),
    *(f"DROP TABLE {table}" for table in EVERY_TABLE),
    *(f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in EVERY_TABLE),
    "CREATE TRIGGER t BEFORE INSERT ON oban_jobs EXECUTE FUNCTION oban_workflow_after_update()",
    "CREATE POLICY p ON oban_jobs USING (true)",
    "SELECT setval('oban_jobs_id_seq', 1)",
    "SELECT nextval('oban_jobs_id_seq')",
    "SELECT nextval('oban_workflow_groups_key_seq')",
    "DROP FUNCTION oban_workflow_release",
    "SELECT nextval('oban_workflow_signals_id_seq')",
    "DROP VIEW oban_workflows",
    "CREATE TABLE mine.t AS SELECT 1; "
    "CREATE TRIGGER t AFTER UPDATE ON mine.t"
    " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT"
    " EXECUTE FUNCTION oban_workflow_after_update()",
]
FORBIDDEN = {
    "worker": [*OF_THE_OWNER, *writes("oban_workflow_migrations")],
    "enqueuer": [
        *OF_THE_OWNER,
        *writes(*EVERY_TABLE, kinds=(1, 2)),
        *writes("oban_leaders", "oban_producers", *KEPT, "oban_workflow_migrations", kinds=(0,)),
        *(f"SELECT FROM {table}" for table in ("oban_leaders", "oban_producers", *KEPT)),
        "SELECT FROM oban_jobs FOR UPDATE",
        *ANYBODY[-2:],
    ],
    "reader": [
        *OF_THE_OWNER,
        *writes(*EVERY_TABLE),
        *ANYBODY,
        "SELECT FROM oban_leaders",
        "SELECT FROM oban_jobs FOR UPDATE",
    ],
    "stranger": [
        *OF_THE_OWNER,
        *writes(*EVERY_TABLE),
        *ANYBODY,
        *(f"SELECT FROM {table}" for table in [*EVERY_TABLE, "oban_workflows"]),
    ],
}


class TestForbidden:
    @pytest.mark.parametrize("kind", FORBIDDEN)
    def test_what_a_role_may_not_do_is_denied(self, dsn: str, roles: Roles, kind: str) -> None:
        role = roles.make("CREATE SCHEMA mine AUTHORIZATION {}")
        if kind != "stranger":
            roles.execute(grants_to(kind, role))
        with psycopg.connect(roles.as_role(role)) as conn:
            for act in FORBIDDEN[kind]:
                with suppress(InsufficientPrivilege), conn.transaction():
                    conn.execute(act.encode())
                    pytest.fail(f"{kind}: {act}")

    async def test_an_enqueuer_cancels_nothing_that_was_there(
        self, pool: AsyncConnectionPool, roles: Roles, psql: Psql
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(enqueuers=[role]))
        await Oban(pool=pool).enqueue_many(diamond())
        ids = [job["id"] for job in psql.jobs()]
        roles.execute(
            f"SELECT oban_workflow_break_jobs_v1(ARRAY{ids}, array_fill('x'::text, '{{4}}'))",
            role=role,
        )
        assert "cancelled" not in psql.states().values()


class TestWaits:
    async def test_are_enqueued_and_appended_by_an_enqueuer(
        self, pool: AsyncConnectionPool, roles: Roles, psql: Psql
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(enqueuers=[role]))
        workflow = (
            Workflow(deadline=3600)
            .add_signal("approved", wait_for=60)
            .add_timer("pause", 60)
            .add("last", work(), deps=["approved", "pause"])
        )
        async with roles.pool(role) as own:
            await Oban(pool=own).enqueue_many(workflow)
            await workflow.append(
                Workflow(check_deps=False).add_signal("again", deps="pause").add_timer("more", 60)
            )
            with pytest.raises(MissingRightError, match=r"GRANT .* ON TABLE public.oban_workflow_"):
                await workflow.signal("approved")
        Oban(pool=pool)
        await workflow.signal("approved")
        assert psql.states()["approved"] == "completed"
        assert await doctor.audit() == []

    async def test_are_signalled_by_a_worker(
        self, pool: AsyncConnectionPool, roles: Roles, psql: Psql
    ) -> None:
        role, reader = roles.make(), roles.make()
        roles.execute(schema.grants_sql(workers=[role], readers=[reader]))
        workflow = Workflow().add_signal("approved").add("last", work(), deps="approved")
        async with roles.pool(role) as own:
            await Oban(pool=own).enqueue_many(workflow)
            await workflow.signal("approved", "yes", by="ada")
        assert psql.states() == {"approved": "completed", "last": "available"}
        async with roles.pool(reader) as own:
            Oban(pool=own)
            assert len(await workflow.signals("approved")) == 1


class TestNode:
    async def test_without_rights_does_not_start_and_names_the_grant(
        self, dsn: str, roles: Roles
    ) -> None:
        for role in (roles.make(), roles.make_plain()):
            async with roles.pool(role) as pool:
                oban = Oban(pool=pool, queues={"default": 1})
                with pytest.raises(MissingRightError) as raised:
                    await oban.start()
            assert f'--grant-worker "{role}"' in str(raised.value)
        assert str(raised.value).startswith(
            f"role \"{role}\" lacks rights in schema 'public'; as the owner of oban_jobs run:"
            f' GRANT SELECT ON TABLE public.oban_workflow_migrations TO "{role}"'
        ) or "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE public.oban_workflow_groups" in str(
            raised.value
        )

    async def test_that_lacks_one_right_is_told_which(self, dsn: str, roles: Roles) -> None:
        role = roles.make()
        roles.execute(
            schema.grants_sql(workers=[role]),
            f'REVOKE DELETE ON oban_workflow_unended FROM "{role}"',
        )
        async with roles.pool(role) as pool:
            with pytest.raises(
                MissingRightError,
                match=f'run: GRANT DELETE ON TABLE public.oban_workflow_unended TO "{role}"; or',
            ):
                await Oban(pool=pool, queues={"default": 1}).start()

    async def test_with_them_runs_workflows(
        self, dsn: str, roles: Roles, wait_until: WaitUntil
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(workers=[role]))
        workflow = Workflow().add_graft("grow", growth.graft_pair).add("last", work(), deps="grow")
        async with (
            roles.pool(role) as pool,
            Oban(pool=pool, queues={"default": 5}, stager={"interval": 0.05}) as oban,
        ):
            await oban.enqueue_many(workflow)
            await wait_until(lambda: settled(workflow))
            assert (await workflow.status()).state == "completed"


class TestCommandLine:
    async def test_a_command_without_rights_names_the_missing_grant(
        self, dsn: str, roles: Roles, pool: AsyncConnectionPool
    ) -> None:
        await Oban(pool=pool).enqueue_many(diamond(id="w"))
        stranger, reader = roles.make(), roles.make()
        roles.execute(schema.grants_sql(readers=[reader]))
        for role, arguments in (
            (stranger, ["list"]),
            (stranger, ["show", "w"]),
            (stranger, ["explain", "w", "end"]),
            (stranger, ["doctor"]),
            (reader, ["cancel", "w"]),
            (reader, ["retry", "w"]),
        ):
            done = await asyncio.to_thread(invoke, roles.as_role(role), *arguments)
            assert done.exit_code != 0
            assert f'TO "{role}"' in done.stderr, arguments

    async def test_lets_a_reader_look(
        self, dsn: str, roles: Roles, pool: AsyncConnectionPool
    ) -> None:
        reader = roles.make()
        roles.execute(schema.grants_sql(readers=[reader]))
        await Oban(pool=pool).enqueue_many(diamond(id="w"))
        for arguments in (
            ["list"],
            ["show", "w"],
            ["explain", "w", "end"],
            ["graph", "w"],
            ["doctor"],
        ):
            done = await asyncio.to_thread(invoke, roles.as_role(reader), *arguments)
            assert done.exit_code == 0, done.stderr
