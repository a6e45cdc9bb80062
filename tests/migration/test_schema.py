"""Installing, upgrading and removing the tables, beside oban's own and those of others."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest
from oban import Oban
from oban import schema as oban_schema
from oban.testing import reset_oban
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, errors, schema
from oban_pro.engine.results import Acks
from oban_pro.engine.store import Store
from oban_pro.model import job_notes
from tests.support.databases import Psql
from tests.support.elixir import ELIXIR
from tests.support.graphs import diamond, settled, work

OURS = (
    "oban_workflow_awaits",
    "oban_workflow_edges",
    "oban_workflow_ends",
    "oban_workflow_finals",
    "oban_workflow_groups",
    "oban_workflow_hearing",
    "oban_workflow_joins",
    "oban_workflow_keys",
    "oban_workflow_members",
    "oban_workflow_migrations",
    "oban_workflow_pauses",
    "oban_workflow_schedules",
    "oban_workflow_producers",
    "oban_workflow_queues",
    "oban_workflow_signals",
    "oban_workflow_timers",
    "oban_workflow_undos",
    "oban_workflow_unended",
    "oban_workflow_waits",
    "oban_workflow_windows",
    "oban_workflows",
)

THEIRS = ("oban_jobs", "oban_leaders", "oban_producers")

# Everything that lives in a schema, object ids and grants included.
CATALOG = """
SELECT 'relation' AS kind, c.relname AS name, c.oid::text AS a, c.relkind::text AS b,
  c.relacl::text AS c, c.reloptions::text AS d
FROM pg_class c WHERE c.relnamespace = %(schema)s::regnamespace
UNION ALL
SELECT 'column', a.attrelid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod),
  a.attnotnull::text, pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = %(schema)s::regnamespace AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conname, oid::text, pg_get_constraintdef(oid), NULL, NULL
FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace
UNION ALL
SELECT 'index', c.relname, pg_get_indexdef(c.oid), NULL, NULL, NULL
FROM pg_class c WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'i'
UNION ALL
SELECT 'view', c.relname, pg_get_viewdef(c.oid), NULL, NULL, NULL
FROM pg_class c WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'v'
UNION ALL
SELECT 'function', p.proname, p.oid::text, pg_get_functiondef(p.oid), p.proacl::text, NULL
FROM pg_proc p WHERE p.pronamespace = %(schema)s::regnamespace
UNION ALL
SELECT 'trigger', t.tgname, t.oid::text, pg_get_triggerdef(t.oid), NULL, NULL
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = %(schema)s::regnamespace
UNION ALL
SELECT 'label', t.typname, e.enumlabel, e.enumsortorder::text, NULL, NULL
FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
WHERE t.typnamespace = %(schema)s::regnamespace
UNION ALL
SELECT 'schema', nspname, nspacl::text, NULL, NULL, NULL FROM pg_namespace
WHERE nspname !~ '^pg_'
ORDER BY 1, 2, 3, 4
"""


def catalog(psql: Psql, prefix: str = "public") -> list[Any]:
    return psql.rows(CATALOG, {"schema": prefix})


@pytest.fixture
def empty(empty_dsn: str) -> Psql:
    return Psql(empty_dsn)


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    """Provide a pool on a database with nothing in it."""
    async with AsyncConnectionPool(empty_dsn, min_size=1, max_size=20, open=False) as pool:
        yield pool


async def run(pool: AsyncConnectionPool, workflow: Workflow, wait_until: Any, **opts: Any) -> Any:
    """Run a workflow to its end, and return its status."""
    defaults: dict[str, Any] = {"queues": {"default": 5}, "stager": {"interval": 0.05}}
    async with Oban(pool=pool, **defaults | opts) as oban:
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        return await workflow.status()


class TestInstall:
    async def test_makes_everything_that_workflows_need(
        self, pool: AsyncConnectionPool, empty: Psql, wait_until: Any
    ) -> None:
        await schema.install(pool)
        assert empty.relations() == {*OURS, *THEIRS}
        status = await run(pool, diamond(), wait_until)
        assert status.counts == {"completed": 4}

    async def test_a_second_installation_changes_nothing(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        empty.rows("GRANT SELECT ON oban_workflows, oban_workflow_groups TO PUBLIC")
        before = catalog(empty)
        ledger = empty.rows("SELECT * FROM oban_workflow_migrations")
        await schema.install(pool)
        await schema.upgrade(pool)
        assert catalog(empty) == before
        assert empty.rows("SELECT * FROM oban_workflow_migrations") == ledger

    @pytest.mark.parametrize(
        "older",
        [
            "(p_ids bigint[], p_now timestamp) RETURNS integer",
            "(p_ids bigint[], p_then timestamp, OUT ids bigint[], OUT queues text[])",
            "(p_ids bigint[], OUT ids bigint[], OUT queues text[])",
        ],
    )
    async def test_replaces_functions_whose_shape_has_changed(
        self, pool: AsyncConnectionPool, empty: Psql, older: str
    ) -> None:
        await schema.install(pool)
        shape = "SELECT pg_get_function_identity_arguments(oid) FROM pg_proc WHERE proname = %s"
        expected = empty.rows(shape, ["oban_workflow_release"])
        empty.rows("DROP FUNCTION oban_workflow_release")
        body = "LANGUAGE plpgsql AS 'BEGIN RETURN; END'"
        body = "LANGUAGE sql AS 'SELECT 1'" if "integer" in older else body
        empty.rows(f"CREATE FUNCTION oban_workflow_release{older} {body}")
        empty.rows("CREATE FUNCTION oban_workflow_gone() RETURNS int LANGUAGE sql RETURN 1")
        empty.rows("CREATE FUNCTION oban_workflow_gone_v7() RETURNS int LANGUAGE sql RETURN 1")
        await schema.install(pool)
        assert empty.rows(shape, ["oban_workflow_release"]) == expected
        assert empty.rows(shape, ["oban_workflow_gone"]) == []
        assert len(empty.rows(shape, ["oban_workflow_gone_v7"])) == 1

    async def test_again_keeps_what_is_stored(
        self, pool: AsyncConnectionPool, wait_until: Any
    ) -> None:
        await schema.install(pool)
        workflow = diamond()
        await Oban(pool=pool).enqueue_many(workflow)
        before = await workflow.status()
        await schema.install(pool)
        assert await workflow.status() == before
        assert (await run(pool, workflow, wait_until)).counts == {"completed": 4}

    async def test_twenty_times_at_once_succeeds(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await asyncio.gather(*(schema.install(pool, prefix="fresh") for _ in range(20)))
        assert empty.relations("fresh") == {*OURS, *THEIRS}
        assert empty.rows("SELECT count(*) FROM fresh.oban_workflow_migrations") == [
            (schema.VERSION,)
        ]

    async def test_again_and_again_disturbs_no_running_workflow(
        self, pool: AsyncConnectionPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        await schema.install(pool)
        workflow = diamond().add_many("many", [work() for _ in range(300)], deps="end")
        async with Oban(pool=pool, queues={"default": 20}, stager={"interval": 0.05}) as oban:
            await oban.enqueue_many(workflow)
            while not await settled(workflow):
                await schema.install(pool)
        assert (await workflow.status()).counts == {"completed": 304}
        assert [one for one in caplog.records if one.levelname == "ERROR"] == []

    async def test_leaves_tables_of_oban_alone_that_exist(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await oban_schema.install(pool)
        (job,) = await Oban(pool=pool).enqueue_many([work()])
        before = {row for row in catalog(empty) if row[0] in ("column", "label", "constraint")}
        await schema.install(pool)
        assert before <= set(catalog(empty))
        assert empty.rows("SELECT id, state::text FROM oban_jobs") == [(job.id, "available")]

    @pytest.mark.parametrize("missing", THEIRS)
    async def test_makes_tables_of_oban_that_are_missing(
        self, pool: AsyncConnectionPool, empty: Psql, missing: str
    ) -> None:
        await oban_schema.install(pool)
        empty.rows(f"DROP TABLE {missing}")
        await schema.install(pool)
        assert empty.relations() == {*OURS, *THEIRS}

    async def test_in_a_transaction_that_is_rolled_back_leaves_nothing(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        async with pool.connection() as conn, conn.transaction(force_rollback=True):
            await conn.execute(schema.install_sql("fresh").encode())
        assert empty.rows("SELECT to_regnamespace('fresh')::text") == [(None,)]
        assert empty.relations() == set()

    @pytest.mark.parametrize(
        "prefix", ["", "Public", "a-b", "1a", 'a"b', "a.b", "a; DROP TABLE x", "ü", "a" * 50, "a\n"]
    )
    async def test_refuses_a_prefix_that_needs_quotes_or_leaves_no_room_for_channels(
        self, pool: AsyncConnectionPool, empty: Psql, prefix: str
    ) -> None:
        for refused in (schema.install, schema.uninstall, schema.upgrade):
            with pytest.raises(ValueError, match="prefix must be a schema name"):
                await refused(pool, prefix)
        for refused_sql in (schema.install_sql, schema.uninstall_sql):
            with pytest.raises(ValueError, match="prefix must be a schema name"):
                refused_sql(prefix)
        assert empty.relations() == set()

    async def test_works_for_a_role_that_owns_the_schema_alone(self, empty: Psql) -> None:
        role = f"oban_test_{secrets.token_hex(4)}"
        empty.rows(f"CREATE ROLE {role}")
        try:
            empty.rows(f"CREATE SCHEMA app AUTHORIZATION {role}")
            dsn = make_conninfo(empty.dsn, options=f"-c role={role}")
            async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
                await schema.install(pool, "app")
                await schema.install(pool, "app")
                assert empty.relations("app") == {*OURS, *THEIRS}
                await schema.uninstall(pool, "app")
                with pytest.raises(errors.MissingRightError, match="GRANT CREATE ON DATABASE"):
                    await schema.install(pool, "other")
        finally:
            empty.rows(f"DROP OWNED BY {role} CASCADE")
            empty.rows(f"DROP ROLE {role}")


class TestSecondSchema:
    async def test_a_second_schema_stands_beside_public(
        self, pool: AsyncConnectionPool, empty: Psql, wait_until: Any
    ) -> None:
        await schema.install(pool)
        before = catalog(empty)
        await schema.install(pool, prefix="second")
        relations = [row for row in before if row[0] != "schema"]
        assert [row for row in catalog(empty) if row[0] != "schema"] == relations
        assert empty.relations("second") == {*OURS, *THEIRS}
        status = await run(pool, diamond(), wait_until, prefix="second")
        assert status.counts == {"completed": 4}
        assert empty.rows("SELECT count(*) FROM oban_jobs") == [(0,)]
        assert empty.rows("SELECT count(*) FROM second.oban_jobs") == [(4,)]

    async def test_may_have_the_longest_name(
        self, pool: AsyncConnectionPool, wait_until: Any
    ) -> None:
        await schema.install(pool, prefix="a" * 49)
        status = await run(pool, diamond(), wait_until, prefix="a" * 49)
        assert status.counts == {"completed": 4}

    async def test_has_nothing_that_refers_to_public(
        self, pool: AsyncConnectionPool, empty: Psql, wait_until: Any
    ) -> None:
        await schema.install(pool, prefix="second")
        empty.rows("DROP SCHEMA public CASCADE")
        workflow = (
            diamond()
            .add_many("many", [work("cancel"), work("snooze")], deps="start")
            .add("last", work(), deps="many")
        )
        status = await run(pool, workflow, wait_until, prefix="second")
        assert status.counts == {"completed": 5, "cancelled": 2}

    async def test_runs_at_once_with_another_in_one_process(
        self, pool: AsyncConnectionPool, wait_until: Any
    ) -> None:
        for prefix in ("one", "two"):
            await schema.install(pool, prefix)
        first = Workflow(id="w", oban="one").add("a", work()).add("b", work(), deps="a")
        second = Workflow(id="w", oban="two").add_many("m", [work() for _ in range(3)])
        opts: dict[str, Any] = {
            "pool": pool,
            "queues": {"default": 5},
            "stager": {"interval": 0.05},
        }
        async with (
            Oban(name="one", prefix="one", **opts) as one,
            Oban(name="two", prefix="two", **opts) as two,
        ):
            await one.enqueue_many(first)
            await two.enqueue_many(second)
            await wait_until(lambda: settled(first))
            await wait_until(lambda: settled(second))
            assert (await first.status()).counts == {"completed": 2}
            assert (await second.status()).counts == {"completed": 3}


FOREIGN = ["CREATE TABLE {}.oban_workflows (id int)", "CREATE VIEW {}.oban_workflows AS SELECT 1 x"]


@pytest.fixture(params=FOREIGN, ids=["table", "view"])
def foreign(request: pytest.FixtureRequest, empty: Psql) -> Psql:
    """Provide a database where somebody else has oban_workflows."""
    empty.rows(request.param.format("public"))
    return empty


class TestForeign:
    async def test_is_refused_by_name_and_left_untouched(
        self, pool: AsyncConnectionPool, foreign: Psql
    ) -> None:
        before = catalog(foreign)
        with pytest.raises(
            errors.SchemaError,
            match="schema public holds a foreign relation oban_workflows; install into another",
        ):
            await schema.install(pool)
        assert catalog(foreign) == before

    async def test_is_left_untouched_by_an_uninstall(
        self, pool: AsyncConnectionPool, foreign: Psql
    ) -> None:
        before = catalog(foreign)
        await schema.uninstall(pool)
        assert catalog(foreign) == before

    async def test_leaves_other_schemas_to_us(
        self, pool: AsyncConnectionPool, foreign: Psql
    ) -> None:
        await schema.install(pool, prefix="other")
        assert foreign.relations("other") == {*OURS, *THEIRS}

    async def test_is_named_where_a_workflow_is_enqueued(
        self, pool: AsyncConnectionPool, foreign: Psql
    ) -> None:
        await oban_schema.install(pool)
        oban = Oban(pool=pool)
        with pytest.raises(errors.SchemaError, match="oban_workflows that is not ours; install"):
            await oban.enqueue_many(diamond())
        await oban.enqueue_many([work(), work()])
        assert foreign.rows("SELECT count(*) FROM oban_jobs") == [(2,)]


class TestVersion:
    async def test_that_is_newer_is_refused_by_name(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        newer = schema.VERSION + 1
        empty.rows(f"INSERT INTO oban_workflow_migrations (version) VALUES ({newer})")
        before = catalog(empty)
        with pytest.raises(errors.SchemaError, match=f"public is at version {newer} of oban-work"):
            await schema.install(pool)
        assert catalog(empty) == before
        with pytest.raises(errors.SchemaError, match="upgrade oban-workflows"):
            await Oban(pool=pool).enqueue_many(diamond())

    async def test_that_is_older_is_told_to_upgrade(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        empty.rows("DELETE FROM oban_workflow_migrations")
        oban = Oban(pool=pool)
        with pytest.raises(errors.SchemaError, match="run: oban-workflows install --prefix public"):
            await oban.enqueue_many(diamond())
        assert empty.rows("SELECT count(*) FROM oban_jobs") == [(0,)]


class TestUninstall:
    async def test_leaves_what_oban_made(self, pool: AsyncConnectionPool, empty: Psql) -> None:
        def theirs() -> list[Any]:
            return [row for row in catalog(empty) if row[0] != "column" or row[1] in THEIRS]

        await oban_schema.install(pool)
        before = theirs()
        await schema.install(pool)
        await Oban(pool=pool).enqueue_many(diamond())
        await schema.uninstall(pool)
        assert theirs() == before
        assert empty.relations() == set(THEIRS)
        assert empty.rows("SELECT count(*) FROM oban_jobs") == [(4,)]

    async def test_a_second_removal_changes_nothing(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        await schema.uninstall(pool)
        before = catalog(empty)
        await schema.uninstall(pool)
        assert catalog(empty) == before

    async def test_of_a_schema_that_does_not_exist_changes_nothing(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.uninstall(pool, prefix="nowhere")
        assert empty.relations("nowhere") == set()

    async def test_leaves_the_other_schema_alone(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        await schema.install(pool, prefix="second")
        before = catalog(empty, "second")
        await schema.uninstall(pool)
        assert catalog(empty, "second") == before

    async def test_can_be_followed_by_an_install(
        self, pool: AsyncConnectionPool, wait_until: Any
    ) -> None:
        await schema.install(pool)
        await Oban(pool=pool).enqueue_many(diamond(id="w"))
        await schema.uninstall(pool)
        await schema.install(pool)
        assert (await Workflow("w").status()).state == "unknown"
        status = await run(pool, diamond(id="new"), wait_until)
        assert status.counts == {"completed": 4}


type Execute = Callable[[str, str], None]


def psycopg_alone(dsn: str, statements: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute(statements.encode())


def psycopg_with_parameters(dsn: str, statements: str) -> None:
    # Some frameworks pass parameters, though empty ones: a lone percent sign is an error then, and
    # only a cursor that fills them in itself takes several statements.
    with psycopg.connect(dsn, cursor_factory=psycopg.ClientCursor) as conn:
        conn.execute(statements.encode(), [])


def sqlalchemy(dsn: str, statements: str, how: str) -> None:
    from sqlalchemy import NullPool, create_engine, text

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool
    )
    with engine.begin() as conn:
        if how == "text":
            # As Alembic's op.execute does.
            conn.execute(text(statements))
        else:
            conn.exec_driver_sql(statements)


def sqlalchemy_text(dsn: str, statements: str) -> None:
    sqlalchemy(dsn, statements, "text")


def sqlalchemy_driver(dsn: str, statements: str) -> None:
    sqlalchemy(dsn, statements, "driver")


@pytest.mark.parametrize(
    "execute", [psycopg_alone, psycopg_with_parameters, sqlalchemy_text, sqlalchemy_driver]
)
class TestSql:
    async def test_does_the_same_in_a_migration_framework(
        self, pool: AsyncConnectionPool, empty: Psql, execute: Execute, wait_until: Any
    ) -> None:
        execute(empty.dsn, schema.install_sql("app"))
        execute(empty.dsn, schema.install_sql("app"))
        assert empty.relations("app") == {*OURS, *THEIRS}
        status = await run(pool, diamond(), wait_until, prefix="app")
        assert status.counts == {"completed": 4}
        execute(empty.dsn, schema.uninstall_sql("app"))
        assert empty.relations("app") == set(THEIRS)


class TestSearchPath:
    @pytest.mark.parametrize("statements", [schema.install_sql, schema.uninstall_sql])
    @pytest.mark.parametrize("autocommit", [False, True])
    def test_is_afterwards_what_it_was(
        self, empty: Psql, statements: Callable[..., str], autocommit: bool
    ) -> None:
        with psycopg.connect(empty.dsn, autocommit=autocommit) as conn:
            conn.execute("SET search_path = somewhere, public")
            conn.execute(statements("app").encode())
            (path,) = conn.execute("SHOW search_path").fetchone() or ()
            conn.commit()
            assert conn.execute("SHOW search_path").fetchone() == (path,)
            assert path == "somewhere, public"

    async def test_of_a_session_does_not_matter(self, empty: Psql, wait_until: Any) -> None:
        dsn = make_conninfo(empty.dsn, options="-c search_path=pg_catalog")
        async with AsyncConnectionPool(dsn, min_size=1, max_size=10, open=False) as pool:
            await schema.install(pool, "app")
            status = await run(pool, diamond(), wait_until, prefix="app")
        assert status.counts == {"completed": 4}


class TestResetOban:
    async def test_forgets_workflows_and_starts_ids_again(
        self, pool: AsyncConnectionPool, empty: Psql, wait_until: Any
    ) -> None:
        await schema.install(pool)
        oban = Oban(pool=pool)
        for _ in range(2):
            workflow = diamond(id="w").add_many("m", [work()], deps="end")
            jobs = await oban.enqueue_many(workflow)
            assert [job.id for job in jobs] == [1, 2, 3, 4, 5]
            await reset_oban(oban)
            assert (await workflow.status()).state == "unknown"
            assert not any(
                empty.rows(f"SELECT FROM {name}")
                for name in OURS
                if name != "oban_workflow_migrations"
            )
        status = await run(pool, diamond(id="w"), wait_until)
        assert status.counts == {"completed": 4}


class TestTablesMadeByElixir:
    async def test_tables_made_by_elixir_run_workflows(
        self, pool: AsyncConnectionPool, empty: Psql, wait_until: Any
    ) -> None:
        empty.rows(ELIXIR)
        await schema.install(pool)
        workflow = diamond().add("bad", work("cancel"), deps="start").add("x", work(), deps="bad")
        status = await run(pool, workflow, wait_until)
        assert status.counts == {"completed": 4, "cancelled": 2}
        query = "SELECT errors[1] ->> 'error' FROM oban_jobs WHERE meta ->> 'name' = 'x'"
        ((error,),) = empty.rows(query)
        assert "'bad'" in error

    async def test_hand_out_jobs_as_they_are(self, pool: AsyncConnectionPool, empty: Psql) -> None:
        empty.rows(ELIXIR)
        await schema.install(pool)
        await Oban(pool=pool).enqueue_many([work() for _ in range(2)])
        empty.rows("""
            UPDATE oban_jobs SET errors = ARRAY['{"attempt": 1, "error": "no"}'::jsonb],
            tags = NULL, meta = NULL
        """)

        async with pool.connection() as conn:
            store = Store(conn, "public")
            (first,) = await store.fetch("default", 1, ["node", "uuid"])
            # there is nothing to acknowledge
            _, _, (second,) = await store.ack(
                Acks("{}", "{}", None), "default", 1, ["node", "uuid"]
            )

        for job in (first, second):
            errors: Any = job.errors
            assert errors == [{"attempt": 1, "error": "no"}]
            assert (job.tags, job.meta) == ([], {})
            assert job_notes.UNREADABLE not in job.extra

    async def test_can_be_looked_at(
        self, pool: AsyncConnectionPool, empty: Psql, wait_until: Any
    ) -> None:
        empty.rows(ELIXIR)
        await schema.install(pool)
        workflow = Workflow(id="w").add("bad", work("cancel")).add("x", work(), deps="bad")
        await run(pool, workflow, wait_until)

        async with pool.connection() as conn:
            store = Store(conn, "public")
            assert len(await store.chain("w", "x")) == 2
            assert await store.tree("w", None, 10)
            assert await store.jobs("w")
            assert await store.deps((await store.jobs("w"))[1].id or 0)
