"""The page on backups and copies: its commands, typed as printed."""

import os
import re
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from psycopg_pool import AsyncConnectionPool

from oban_pro import schema
from oban_pro.embedded import Postgres, binaries, supervisor
from oban_pro.embedded.account import server_account
from tests.support.databases import Psql
from tests.support.page import blocks
from tests.support.paths import DOCS
from tests.support.programs import clients_for, major_of, run_shell, upgradable
from tests.support.restoring import assert_goes_on, halfway, replicated

PAGE = DOCS / "how-to" / "back-up-and-restore.md"
COMMANDS = [block.text for block in blocks(PAGE) if block.language == "sh"]
REPAIR = 'oban-workflows doctor --repair --dsn "$NEW_DSN"\n'


def commands_with(needle: str) -> str:
    (found,) = [commands for commands in COMMANDS if needle in commands]

    return found


DUMPS = [
    commands for commands in COMMANDS if re.match(r"pg_dump --f|oban-workflows install", commands)
]


class TestPage:
    def test_has_no_command_that_is_not_typed_here(self) -> None:
        others = [
            commands_with(one)
            for one in ("--schema-only --file", "PUBLICATION", "DROP SUB", "pg_upgrade")
        ]

        assert len(DUMPS) == 3
        assert sorted([*DUMPS, *others, REPAIR]) == sorted(COMMANDS)


@pytest.mark.slow
class TestDumps:
    @pytest.mark.parametrize("commands", DUMPS)
    async def test_go_on_where_the_original_was(
        self, dsn: str, empty_dsn: str, commands: str, tmp_path: Path
    ) -> None:
        clients = clients_for(dsn)

        async with halfway(dsn):
            run_shell(commands, tmp_path, clients, {"OBAN_DSN": dsn, "NEW_DSN": empty_dsn})

        await assert_goes_on(empty_dsn)

    def test_without_data_are_installed_upon(
        self, dsn: str, empty_dsn: str, tmp_path: Path
    ) -> None:
        variables = {"OBAN_DSN": dsn, "NEW_DSN": empty_dsn}
        said = run_shell(
            commands_with("--schema-only --file"), tmp_path, clients_for(dsn), variables
        )
        assert "is at version" in said

    async def test_that_went_wrong_are_mended(
        self, dsn: str, empty_dsn: str, tmp_path: Path
    ) -> None:
        clients = clients_for(dsn)
        variables = {"OBAN_DSN": dsn, "NEW_DSN": empty_dsn}

        async with halfway(dsn):
            half = (
                'pg_dump "$OBAN_DSN" | grep -v pg_catalog.setval | psql --quiet --dbname "$NEW_DSN"'
            )
            run_shell(half, tmp_path, clients, variables)

        assert "Mended 2 rows" in run_shell(REPAIR, tmp_path, clients, variables)
        await assert_goes_on(empty_dsn)


@pytest.mark.slow
@pytest.mark.timeout(240)
class TestReplication:
    async def test_goes_on_in_the_subscriber(self, tmp_path: Path) -> None:
        async with replicated(commands_with("CREATE PUBLICATION"), tmp_path) as variables:
            clients = clients_for(variables["OBAN_DSN"])
            said = run_shell(commands_with("DROP SUBSCRIPTION"), tmp_path, clients, variables)
            assert "oban_workflow_groups_key_seq" in said
            assert "Mended 2 rows" in said
            await assert_goes_on(variables["NEW_DSN"])


@pytest.mark.slow
@pytest.mark.timeout(240)
class TestPgUpgrade:
    async def test_goes_on_in_the_newer_release(self) -> None:
        old_bin, new_bin = upgradable()
        account = server_account()

        with tempfile.TemporaryDirectory(prefix="upgrade-", dir="/tmp") as name:
            folder = Path(name)

            # The server may run as somebody else, who works in here.
            if account:
                os.chown(folder, account.uid, account.gid)

            os.chmod(folder, 0o755)  # noqa: PTH101
            old, new = folder / "old", folder / "new"

            with (
                mock.patch.object(binaries, "find", return_value=old_bin),
                Postgres(old) as postgres,
            ):
                async with AsyncConnectionPool(postgres.dsn(), open=False) as pool:
                    await schema.install(pool)

                async with halfway(postgres.dsn()):
                    pass

            variables = {
                "OLD_BIN": str(old_bin),
                "NEW_BIN": str(binaries.readable_by_others(new_bin)),
                "OLD_DATA": str(supervisor.pgdata(old)),
                "NEW_DATA": str(supervisor.pgdata(new)),
                "PGHOST": name,
            }
            run_shell(f"mkdir {new}; {INITDB}", folder, new_bin, variables, account)
            run_shell(commands_with("pg_upgrade"), folder, new_bin, variables, account)

            with Postgres(new) as postgres:
                major = Psql(postgres.dsn()).rows("SHOW server_version_num")[0][0]
                assert int(major) // 10_000 == major_of(new_bin)
                await assert_goes_on(postgres.dsn())


# As an embedded server's, which the old cluster is; checksums must be as in the old one.
INITDB = """
"$NEW_BIN/initdb" --pgdata "$NEW_DATA" --username postgres --encoding UTF8 --no-locale \
  --auth-local trust $("$NEW_BIN/initdb" --help | grep -o -- --no-data-checksums || true)
"""
