"""Temporary objects stand in for nothing of ours, whoever makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from oban import Oban

from oban_pro import doctor, schema
from tests.support.databases import Psql
from tests.support.graphs import diamond, settled, work
from tests.support.roles import OBAN_TABLES, OURS, Roles

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

    from tests.support.fixtures import WaitUntil

pytestmark = pytest.mark.slow


class TestPgTemp:
    """Temporary objects stand in for nothing, whoever makes them."""

    def shadow(self, conn: psycopg.Connection) -> None:
        """Make temporary tables, functions, operators and types that are called like ours."""
        relations = conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'v') AND starts_with(relname, 'oban_')"
        ).fetchall()
        functions = conn.execute(
            "SELECT proname, pg_get_function_identity_arguments(oid), pg_get_function_result(oid)"
            " FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND starts_with(proname, 'oban_workflow_') AND prorettype <> 'trigger'::regtype"
        ).fetchall()
        assert len(relations) > 10
        assert len(functions) > 40
        statements = [
            *(
                f"CREATE TEMP TABLE {name} (LIKE public.{name} INCLUDING ALL)"
                for (name,) in relations
            ),
            *(
                f"CREATE FUNCTION pg_temp.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql"
                " AS $$ BEGIN RAISE 'a temporary function was called'; END $$"
                for name, arguments, result in functions
            ),
            "CREATE FUNCTION pg_temp.no(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
            "CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.no)",
            "CREATE FUNCTION pg_temp.no(public.oban_job_state, text) RETURNS boolean LANGUAGE sql"
            " AS 'SELECT false'",
            "CREATE OPERATOR pg_temp.= (LEFTARG = public.oban_job_state, RIGHTARG = text,"
            " FUNCTION = pg_temp.no)",
            "CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (VALUE = 'nothing')",
            "CREATE TYPE pg_temp.oban_job_state AS ENUM ('nothing')",
        ]

        for statement in statements:
            conn.execute(statement.encode())

    @pytest.mark.parametrize("path", ["", "pg_temp, public", "pg_temp, pg_catalog, public"])
    async def test_hides_no_change_from_the_triggers(
        self, dsn: str, roles: Roles, pool: AsyncConnectionPool, path: str
    ) -> None:
        role = roles.make_plain()
        roles.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{role}"')
        workflow = diamond().add("last", work(), deps="end")
        await Oban(pool=pool).enqueue_many(workflow)
        with psycopg.connect(roles.as_role(role), autocommit=True) as conn:
            self.shadow(conn)
            if path:
                conn.execute(f"SET search_path = {path}".encode())
            one = "UPDATE public.oban_jobs SET state = 'completed' WHERE meta ->> 'name' {} 'start'"
            conn.execute(one.format("OPERATOR(pg_catalog.=)").encode())
            assert Psql(dsn).states()["left"] == Psql(dsn).states()["right"] == "available"
            conn.execute(
                b"INSERT INTO public.oban_producers (uuid, name, node, queue)"
                b" VALUES (gen_random_uuid(), 'o', 'n', 'q')"
            )
            assert Psql(dsn).rows("SELECT count(*) FROM oban_workflow_producers") == [(1,)]
            conn.execute(
                b"DELETE FROM public.oban_jobs WHERE meta ->> 'name' OPERATOR(pg_catalog.=) 'left'"
            )
        assert Psql(dsn).states()["end"] == "cancelled"
        assert Psql(dsn).states()["last"] == "cancelled"
        assert await doctor.audit() == []

    async def test_hides_nothing_from_our_own_statements(
        self, dsn: str, roles: Roles, wait_until: WaitUntil
    ) -> None:
        role = roles.make()
        roles.execute(schema.grants_sql(workers=[role]))

        async def shadow(conn: Any) -> None:
            for name in ("oban_jobs", *OURS, "oban_workflow_migrations"):
                await conn.execute(f"CREATE TEMP TABLE {name} (LIKE public.{name})")
            await conn.commit()

        async with roles.pool(role, configure=shadow) as pool:
            workflow = diamond().add_many("many", [work() for _ in range(5)], deps="end")
            async with Oban(pool=pool, queues={"default": 5}, stager={"interval": 0.05}) as oban:
                await oban.enqueue_many(workflow)
                await wait_until(lambda: settled(workflow))
            assert (await workflow.explain("end")).summary
            assert await doctor.audit() == []
        assert {*Psql(dsn).states().values()} == {"completed"}

    def test_is_last_in_every_function_or_nothing_is_looked_up(self, dsn: str) -> None:
        settings = """
            SELECT proname, proconfig::text, prosqlbody IS NOT NULL FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND starts_with(proname, 'oban_workflow_')
        """
        found = Psql(dsn).rows(settings)
        assert len(found) > 50
        for name, config, is_parsed in found:
            assert is_parsed or '"search_path=public, pg_temp"' in config, name

    async def test_is_not_installed_into(self, empty_dsn: str, wait_until: WaitUntil) -> None:
        with psycopg.connect(empty_dsn, autocommit=True) as conn:
            made = {*OURS, *OBAN_TABLES, "oban_workflows", "oban_workflow_migrations"}

            for name in made:
                conn.execute(f"CREATE TEMP TABLE {name} (id int)".encode())

            # nothing is there to remove so far
            conn.execute(schema.uninstall_sql().encode())
            conn.execute(schema.install_sql().encode())
            assert made == Psql(empty_dsn).relations()
            conn.execute(schema.install_sql().encode())
            conn.execute(schema.uninstall_sql().encode())
            assert made & Psql(empty_dsn).relations() == {*OBAN_TABLES}
            temporary = conn.execute(
                "SELECT relname FROM pg_class"
                " WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'"
            )
            assert {name for (name,) in temporary} == made
