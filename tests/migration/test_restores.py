"""Copies of a database in which workflows are halfway: all ways of pg_dump, and replication."""

import asyncio
import secrets
from pathlib import Path

import pytest
from oban import Oban
from psycopg.conninfo import make_conninfo
from psycopg.errors import UniqueViolation
from psycopg_pool import AsyncConnectionPool

from oban_pro import doctor, schema
from tests.support.cli import invoke
from tests.support.databases import Psql
from tests.support.graphs import diamond
from tests.support.programs import clients_for, run_shell
from tests.support.restoring import assert_goes_on, halfway, has_producers, replicated

pytestmark = pytest.mark.slow

INSTALL = 'oban-workflows install --dsn "$NEW_DSN"\n'
PSQL = 'psql --set ON_ERROR_STOP=1 --quiet --dbname "$NEW_DSN"'

WAYS = {
    "plain": f'pg_dump "$OBAN_DSN" | {PSQL}',
    "inserts": f'pg_dump --inserts "$OBAN_DSN" | {PSQL}',
    "custom": """
        pg_dump --format custom --file dump "$OBAN_DSN"
        pg_restore --exit-on-error --dbname "$NEW_DSN" dump
    """,
    "parallel": """
        pg_dump --format directory --jobs 2 --file dump "$OBAN_DSN"
        pg_restore --exit-on-error --jobs 2 --dbname "$NEW_DSN" dump
    """,
    "schema, then data": f"""
        pg_dump --schema-only "$OBAN_DSN" | {PSQL}
        pg_dump --data-only "$OBAN_DSN" | {PSQL} --single-transaction
    """,
    "schema, installed, then data": f"""
        pg_dump --schema-only "$OBAN_DSN" | {PSQL}
        {INSTALL}
        pg_dump --data-only "$OBAN_DSN" | {PSQL} --single-transaction
    """,
    "sections": """
        pg_dump --format custom --file dump "$OBAN_DSN"
        pg_restore --exit-on-error --section pre-data --dbname "$NEW_DSN" dump
        pg_restore --exit-on-error --section data --dbname "$NEW_DSN" dump
        pg_restore --exit-on-error --section post-data --dbname "$NEW_DSN" dump
    """,
    "data into an installation": f"""
        {INSTALL}
        pg_dump --data-only "$OBAN_DSN" | {PSQL} --single-transaction
    """,
    "data into an installation, by inserts": f"""
        {INSTALL}
        pg_dump --data-only --column-inserts "$OBAN_DSN" | {PSQL} --single-transaction
    """,
    "data into an installation, triggers off": f"""
        {INSTALL}
        pg_dump --data-only --disable-triggers "$OBAN_DSN" | {PSQL} --single-transaction
    """,
    "data into an installation, in parallel": f"""
        {INSTALL}
        pg_dump --format directory --file dump "$OBAN_DSN"
        pg_restore --exit-on-error --data-only --jobs 2 --dbname "$NEW_DSN" dump
    """,
}


class TestDump:
    @pytest.mark.parametrize("way", WAYS)
    async def test_goes_on_where_the_original_was(
        self, dsn: str, empty_dsn: str, way: str, tmp_path: Path
    ) -> None:
        clients = clients_for(dsn)

        async with halfway(dsn):
            assert has_producers(Psql(dsn))
            run_shell(WAYS[way], tmp_path, clients, {"OBAN_DSN": dsn, "NEW_DSN": empty_dsn})

        await assert_goes_on(empty_dsn)
        ledger = "SELECT DISTINCT version FROM oban_workflow_migrations ORDER BY 1"
        assert Psql(empty_dsn).rows(ledger) == Psql(dsn).rows(ledger)

    async def test_without_data_can_be_installed_upon(
        self, dsn: str, empty_dsn: str, tmp_path: Path
    ) -> None:
        clients = clients_for(dsn)
        variables = {"OBAN_DSN": dsn, "NEW_DSN": empty_dsn}
        run_shell(f'pg_dump --schema-only "$OBAN_DSN" | {PSQL}', tmp_path, clients, variables)

        async with AsyncConnectionPool(empty_dsn, open=False) as pool:
            await schema.install(pool)
            await Oban(pool=pool).enqueue_many(diamond())

        ledger = "SELECT version FROM oban_workflow_migrations ORDER BY 1"
        assert Psql(empty_dsn).rows(ledger) == [(n,) for n in range(1, schema.VERSION + 1)]

    async def test_that_stopped_before_its_sequences_is_found_and_mended(
        self, dsn: str, empty_dsn: str, tmp_path: Path
    ) -> None:
        clients = clients_for(dsn)
        variables = {"OBAN_DSN": dsn, "NEW_DSN": empty_dsn}

        async with halfway(dsn):
            commands = f'pg_dump "$OBAN_DSN" | grep -v pg_catalog.setval | {PSQL}'
            run_shell(commands, tmp_path, clients, variables)

        async with AsyncConnectionPool(empty_dsn, open=False) as pool:
            oban = Oban(pool=pool)

            with pytest.raises(UniqueViolation):
                await oban.enqueue_many(diamond())

            found = await doctor.audit()
            ((last,),) = Psql(dsn).rows("SELECT max(id) FROM oban_jobs")
            ((first,),) = Psql(dsn).rows("SELECT min(key) FROM oban_workflow_groups")
            assert {(one.workflow_id, one.field, one.name, one.actual) for one in found} == {
                (None, "sequence", "oban_jobs_id_seq", str(last)),
                (None, "sequence", "oban_workflow_groups_key_seq", str(first)),
            }
            assert "sequence oban_jobs_id_seq must be at" in str(found[0])
            said = await asyncio.to_thread(invoke, empty_dsn, "doctor")
            assert (said.exit_code, "oban_workflow_groups_key_seq" in said.stdout) == (1, True)
            assert await doctor.repair() == 2
            assert await doctor.audit() == []

        await assert_goes_on(empty_dsn)


class TestSequences:
    async def test_are_not_moved_back(self, dsn: str, oban: Oban) -> None:
        psql = Psql(dsn)
        await oban.enqueue_many(diamond())
        at = "SELECT last_value FROM oban_jobs_id_seq UNION ALL SELECT last_value FROM {}"
        query = at.format("oban_workflow_groups_key_seq")
        before = psql.rows(query)
        psql.rows("DELETE FROM oban_jobs")
        assert await doctor.repair() >= 0
        assert psql.rows(query) == before

    def test_are_all_looked_at(self, psql: Psql) -> None:
        owners = {
            table
            for (table,) in psql.rows("""
                SELECT d.refobjid::regclass::text
                FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
                WHERE c.relkind = 'S' AND d.deptype IN ('a', 'i')
            """)
        }
        source = "SELECT prosrc FROM pg_proc WHERE proname = 'oban_workflow_sequences_v1'"
        ((text,),) = psql.rows(source)
        assert len(owners) > 1
        assert {
            table for table in owners if f"pg_get_serial_sequence('{table}'" not in text
        } == set()

    async def test_of_signals_are_moved_on(self, dsn: str, oban: Oban) -> None:
        psql = Psql(dsn)
        psql.rows("""
            INSERT INTO oban_workflow_signals (job, id, payload, sent_at)
            OVERRIDING SYSTEM VALUE VALUES (1, 70, '', now())
        """)
        assert await doctor.repair() == 1
        last = "SELECT last_value FROM oban_workflow_signals_id_seq"
        assert psql.rows(last) == [(70,)]

    async def test_are_left_to_those_who_may_read_them(self, dsn: str, oban: Oban) -> None:
        psql = Psql(dsn)
        await oban.enqueue_many(diamond())
        psql.rows("SELECT setval('oban_jobs_id_seq', 1)")
        role = f"oban_test_{secrets.token_hex(4)}"
        psql.rows(f"CREATE ROLE {role}")
        psql.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")

        try:
            look = "SELECT name FROM oban_workflow_sequences_v1()"
            assert Psql(make_conninfo(dsn, options=f"-c role={role}")).rows(look) == []
            assert psql.rows(look) == [("oban_jobs_id_seq",)]
        finally:
            psql.rows(f"DROP OWNED BY {role}")
            psql.rows(f"DROP ROLE {role}")

    async def test_count_members_whose_jobs_are_gone(self, dsn: str, oban: Oban) -> None:
        """A new job with such an id would take the place of the member."""
        psql = Psql(dsn)
        await oban.enqueue_many(diamond())
        psql.rows("DELETE FROM oban_jobs WHERE id > 1")
        psql.rows("SELECT setval('oban_jobs_id_seq', 1)")
        (behind,) = [one for one in await doctor.audit() if one.field == "sequence"]
        assert (behind.stored, behind.actual) == ("1", "4")


@pytest.mark.slow
@pytest.mark.timeout(180)
class TestReplication:
    async def test_into_an_installation_goes_on(self, tmp_path: Path) -> None:
        commands = f"""
            {INSTALL}
            psql --dbname "$OBAN_DSN" --command "CREATE PUBLICATION oban FOR ALL TABLES"
            psql --dbname "$NEW_DSN" --command "CREATE SUBSCRIPTION oban
              CONNECTION '$OBAN_DSN' PUBLICATION oban"
        """

        async with replicated(commands, tmp_path) as variables:
            copy = variables["NEW_DSN"]
            Psql(copy).rows("ALTER SUBSCRIPTION oban DISABLE")
            repair = await asyncio.to_thread(invoke, copy, "doctor", "--repair")
            assert (repair.exit_code, "Mended 2 rows." in repair.stdout) == (0, True)
            await assert_goes_on(copy)
