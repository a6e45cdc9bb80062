"""The page on roles: its commands grant what it says, to roles of those names."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from oban_pro import schema
from tests.support.cli import environment
from tests.support.page import blocks
from tests.support.paths import DOCS
from tests.support.roles import OBAN_TABLES, OURS, Roles, rights

PAGE = DOCS / "operating" / "roles.md"
TEXT = PAGE.read_text("utf-8")
WORKER, ENQUEUER, READER = NAMES = ("shop_worker", "shop_web", "shop_report")
PRINTED = "\n".join(block.text.strip() for block in blocks(PAGE) if block.language == "text")
COMMANDS = [block.text for block in blocks(PAGE) if block.language == "sh"]


@pytest.fixture
def shop(dsn: str) -> Iterator[Roles]:
    """Provide a database for the roles that the page names."""
    roles = Roles(dsn)
    roles.execute(*(f"CREATE ROLE {name}" for name in NAMES))
    yield roles
    roles.execute(*(f"DROP OWNED BY {name} CASCADE" for name in NAMES))
    roles.execute(*(f"DROP ROLE {name}" for name in NAMES))


def everything(shop: Roles) -> dict[str, str]:
    tables = (*OBAN_TABLES, *OURS, "oban_workflow_migrations", "oban_workflows")

    return {f"{name} {table}": rights(shop, name, table) for name in NAMES for table in tables}


def type_in(command: str, shop: Roles, folder: Path) -> None:
    env = environment(shop.dsn)
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    subprocess.run(["bash", "-ec", command], cwd=folder, env=env, check=True, timeout=60)


class TestPage:
    def test_prints_the_grants_of_each_kind(self) -> None:
        granted = schema.grants_sql(workers=[WORKER], enqueuers=[ENQUEUER], readers=[READER])
        assert granted == PRINTED

    def test_grants_by_either_command_what_it_prints(self, shop: Roles, tmp_path: Path) -> None:
        before = everything(shop)
        shop.execute(PRINTED)
        printed = everything(shop)
        assert printed != before
        shop.execute(*(f"DROP OWNED BY {name} CASCADE" for name in NAMES))
        assert everything(shop) == before
        install, grants = COMMANDS
        type_in(install, shop, tmp_path)
        assert everything(shop) == printed
        shop.execute(*(f"DROP OWNED BY {name} CASCADE" for name in NAMES))
        type_in(grants, shop, tmp_path)
        shop.execute((tmp_path / "grants.sql").read_text("utf-8"))
        assert everything(shop) == printed

    def test_grants_signals_by_one_function(self, shop: Roles) -> None:
        (grant,) = re.findall(r"`(GRANT EXECUTE[^`]+)`", TEXT)
        send = "SELECT oban_workflow_signal('w', 'approved')"
        with pytest.raises(InsufficientPrivilege):
            shop.execute(send, role=ENQUEUER)
        shop.execute(grant)
        with pytest.raises(psycopg.Error, match="there is no workflow"):
            shop.execute(send, role=ENQUEUER)

    @pytest.mark.parametrize("statement", [b.text for b in blocks(PAGE) if b.language == "sql"])
    def test_shows_statements_that_work(self, dsn: str, statement: str) -> None:
        Roles(dsn).execute(statement)
