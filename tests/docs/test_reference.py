"""The reference has every public name, error, meta key and column."""

import inspect
import re
from pathlib import Path

import psycopg

import oban_pro
from oban_pro import errors, meta, telemetry

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def words(page: str) -> set[str]:
    return set(re.findall(r"\w+", (REFERENCE / page).read_text("utf-8")))


def cells(page: str) -> set[str]:
    """Collect what a page shows as code."""
    return set(re.findall(r"`([^`\n]+)`", (REFERENCE / page).read_text("utf-8")))


class TestApi:
    def test_public_names_have_docstrings_with_an_example(self) -> None:
        methods = [
            thing
            for name, thing in inspect.getmembers(oban_pro.Workflow)
            if inspect.isroutine(thing) and not name.startswith("_") and name != "spec"
        ]

        lacking = {method.__name__ for method in methods if "Example" not in (method.__doc__ or "")}
        assert lacking == set()


class TestErrors:
    def test_shows_all_of_them(self) -> None:
        classes = {name for name, thing in vars(errors).items() if inspect.isclass(thing)}

        assert classes - words("errors.md") == set()


class TestEvents:
    def test_shows_all_of_them(self) -> None:
        assert set(telemetry.EVENTS) - cells("events.md") == set()


class TestMetaKeys:
    def test_shows_all_of_them(self) -> None:
        keys = {
            value
            for name, value in vars(meta).items()
            if name.isupper() and isinstance(value, str) and value != meta.ALL_JOBS
        }

        assert keys - cells("meta-keys.md") == set()


class TestTables:
    def test_shows_every_column_of_the_view(self, dsn: str) -> None:
        with psycopg.connect(dsn) as conn:
            description = conn.execute("SELECT * FROM oban_workflows").description

        assert description
        assert {column.name for column in description} - cells("tables.md") == set()

    def test_shows_every_table(self, dsn: str) -> None:
        with psycopg.connect(dsn) as conn:
            rows = conn.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^oban_workflow'"
            ).fetchall()

        assert {name for (name,) in rows} - cells("tables.md") == set()
