"""The page on installation: its migrations, run by Alembic and by Django."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.support.cli import environment
from tests.support.databases import Psql
from tests.support.page import blocks
from tests.support.paths import DOCS

PAGE = DOCS / "how-to" / "install-and-upgrade.md"

ALEMBIC_ENV = """
import os

import psycopg
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(
    "postgresql+psycopg://", creator=lambda: psycopg.connect(os.environ["OBAN_DSN"])
)

with engine.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
"""

DJANGO_SETTINGS = """
import os

from psycopg.conninfo import conninfo_to_dict

INSTALLED_APPS = ["shop"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": conninfo_to_dict(os.environ["OBAN_DSN"])["dbname"],
        "OPTIONS": {
            name: value
            for name, value in conninfo_to_dict(os.environ["OBAN_DSN"]).items()
            if name != "dbname"
        },
    }
}
"""


def shown(library: str) -> str:
    """Return the block of the page that imports a library."""
    (text,) = [block.text for block in blocks(PAGE) if f"from {library}" in block.text]
    return text


def server_version(dsn: str) -> int:
    with psycopg.connect(dsn) as conn:
        return conn.info.server_version


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Provide a folder with both projects around the migrations of the page."""
    files = {
        "alembic.ini": "[alembic]\nscript_location = revisions\n",
        "revisions/env.py": ALEMBIC_ENV,
        "revisions/versions/install.py": shown("alembic"),
        "settings.py": DJANGO_SETTINGS,
        "shop/__init__.py": "",
        "shop/migrations/__init__.py": "",
        "shop/migrations/0001_workflows.py": shown("django"),
    }

    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    return tmp_path


@pytest.mark.slow
class TestMigrations:
    @pytest.mark.parametrize(
        ("upgrade", "downgrade"),
        [
            ("alembic upgrade head", "alembic downgrade base"),
            ("django migrate", "django migrate shop zero"),
        ],
    )
    def test_migrations_install_and_uninstall_the_tables(
        self, project: Path, empty_dsn: str, upgrade: str, downgrade: str
    ) -> None:
        if "django" in upgrade and server_version(empty_dsn) < 150_000:
            pytest.skip("this Django needs PostgreSQL 15")

        def migrate(command: str) -> None:
            done = subprocess.run(
                [sys.executable, "-m", *command.split()],
                cwd=project,
                env=environment(empty_dsn)
                | {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project)},
                capture_output=True,
                text=True,
                check=False,
                timeout=50,
            )
            assert done.returncode == 0, done.stderr[-3000:]

        migrate(upgrade)
        assert {"oban_jobs", "oban_workflows", "oban_workflow_edges"} <= Psql(empty_dsn).relations()

        migrate(downgrade)
        left = Psql(empty_dsn).relations()
        assert "oban_jobs" in left
        assert {name for name in left if name.startswith("oban_workflow")} == set()
