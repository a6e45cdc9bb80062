"""The reference has every public name, error, meta key and column."""

import inspect
import re

import psycopg

import oban_pro
from oban_pro import _plugin, errors, telemetry
from oban_pro.model import meta
from tests.support.paths import DOCS, PACKAGE, ROOT

REFERENCE = DOCS / "reference"


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
            if inspect.isroutine(thing) and not name.startswith("_")
        ]

        lacking = {method.__name__ for method in methods if "Example" not in (method.__doc__ or "")}
        assert lacking == set()


HEADINGS = re.findall(
    r"^\| \*\*(.+?)\*\*", (REFERENCE / "glossary.md").read_text("utf-8"), re.MULTILINE
)
WORDS = [word for heading in HEADINGS for word in heading.split(", ")]

EXPLAINED = {
    *("member", "gate", "gated", "entry job", "pending", "gone", "wave", "patience", "edge"),
    *("requeue", "rescue", "give back", "unfetch", "settle", "release", "broken", "held"),
}
"""Words that readers of the code cannot guess."""


class TestGlossary:
    def test_has_words_that_the_code_uses(self) -> None:
        used = set(WORDS)
        files = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".sql"}]
        code = "\n".join(path.read_text("utf-8") for path in files)

        assert {word for word in used if not re.search(rf"\b{word}", code, re.IGNORECASE)} == set()
        assert {name for name in cells("glossary.md") if name not in code} == set()

    def test_has_words_that_nobody_can_guess(self) -> None:
        assert EXPLAINED - set(WORDS) == set()

    def test_has_each_word_once(self) -> None:
        assert sorted(WORDS) == sorted(set(WORDS))


class TestHooks:
    def test_shows_all_of_them(self) -> None:
        page = (DOCS / "explanation" / "how-it-hooks-into-oban.md").read_text("utf-8")
        shown = set(re.findall(r"`(\w+\.\w+)`", page))

        assert _plugin._HOOKS.keys() <= shown


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

    def test_shows_every_table_and_nothing_else(self, dsn: str) -> None:
        page = (REFERENCE / "tables.md").read_text("utf-8")
        private = page[page.index("## Private") :]
        shown = set(re.findall(r"^\| `(\w+)` \|", private, re.MULTILINE))

        with psycopg.connect(dsn) as conn:
            rows = conn.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^oban_workflow'"
            ).fetchall()

        assert shown == {name for (name,) in rows}

    def test_shows_the_arguments_of_the_public_function(self, dsn: str) -> None:
        page = (REFERENCE / "tables.md").read_text("utf-8")
        (shown,) = re.findall(r"`oban_workflow_signal\((.+?)\)`", page)

        with psycopg.connect(dsn) as conn:
            (row,) = conn.execute(
                "SELECT proargnames[:pronargs] FROM pg_proc WHERE proname = 'oban_workflow_signal'"
            ).fetchall()

        assert row == (shown.split(", "),)


class TestChangelog:
    def test_names_nothing_that_is_not_there(self) -> None:
        text = (ROOT / "CHANGELOG.md").read_text("utf-8")
        code = " ".join(re.findall(r"`([^`]+)`", text))
        named = set(re.findall(r"[A-Za-z]+_[A-Za-z_]+", code)) - {"placeholder_or_path"}
        there = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".sql"}]
        known = set(re.findall(r"\w+", "\n".join(path.read_text("utf-8") for path in there)))

        assert named - known == set()
