"""The map in CONTRIBUTING is that of the tree, and the files that pages name exist."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.support.page import PAGES
from tests.support.paths import PACKAGE, ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
TABLE = re.compile(r"(?:^ *\|.*\n)+", re.MULTILINE)
ROW = re.compile(r"^ *\| (.+?) \| (.+) \|$", re.MULTILINE)
COMING = "*not there yet:*"

LAYERS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
    "contracts"
][0]["layers"]

ELSEWHERE = {"oban.toml", "workflows.toml", "NNNN-a-few-words.md"}
"""Files that pages name and that are not ours."""


def table(first: str) -> dict[str, str]:
    """Read a table by the head of its first column: what it is about, and what it says of that."""
    (found,) = [text for text in TABLE.findall(TEXT) if text.lstrip().startswith(f"| {first} |")]
    rows = ROW.findall(found)[1:]

    return {name.rstrip("/"): duty for cell, duty in rows for name in re.findall(r"`(.+?)`", cell)}


def entries(folder: Path) -> set[str]:
    """List what is in a folder, without what Python or npm leave there."""
    return {
        path.name
        for path in folder.iterdir()
        if path.name not in {"__pycache__", "__init__.py", "node_modules", "py.typed"}
    }


ROOMS = table("room")


class TestMap:
    def test_has_every_room_and_nothing_else(self) -> None:
        there = {name for name, duty in ROOMS.items() if COMING not in duty}

        assert there == entries(PACKAGE) | {"__init__.py"}

    def test_has_rooms_to_come_that_are_not_there(self) -> None:
        coming = {name for name, duty in ROOMS.items() if COMING in duty}

        assert coming & {name.removesuffix(".py") for name in entries(PACKAGE)} == set()

    def test_goes_down_as_imports_do(self) -> None:
        places = {
            room.strip("( )"): number
            for number, layer in enumerate(LAYERS)
            for room in layer.split(" : ")
        }
        rooms = [name.removesuffix(".py") for name in ROOMS][1:]

        assert set(rooms) == places.keys()
        assert [places[room] for room in rooms] == sorted(places.values())

    def test_has_every_folder_of_sql(self) -> None:
        assert table("folder or file").keys() == entries(PACKAGE / "sql")
        assert table("functions in").keys() == entries(PACKAGE / "sql" / "functions")

    def test_has_every_folder_of_tests(self) -> None:
        assert table("folder").keys() == entries(ROOT / "tests") - {"conftest.py"}

    def test_has_every_file_that_the_platform_reads(self) -> None:
        folder = ROOT / ".github"
        read = {path.relative_to(ROOT).as_posix() for path in folder.rglob("*") if path.is_file()}

        assert table("file").keys() == read | {".pre-commit-config.yaml", "SECURITY.md"}

    def test_the_page_lists_every_fixture(self) -> None:
        conftest = ast.parse((ROOT / "tests" / "conftest.py").read_text("utf-8"))
        fixtures = {
            function.name
            for function in conftest.body
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for decorator in map(ast.unparse, function.decorator_list)
            if "fixture" in decorator and "autouse" not in decorator and "session" not in decorator
        }

        assert table("fixture").keys() == fixtures


class TestTargets:
    def test_are_those_of_make(self) -> None:
        makefile = (ROOT / "Makefile").read_text("utf-8")
        targets = set(re.findall(r"^## ([\w-]+):", makefile, re.MULTILINE))
        named = set(re.findall(r"\bmake ([\w-]+)", TEXT)) - {"help"}

        assert named - targets == set()

    def test_of_checks_names_every_program(self) -> None:
        makefile = (ROOT / "Makefile").read_text("utf-8")
        (recipe,) = re.findall(r"^check: .*\n((?:\t.+\n)+)", makefile, re.MULTILINE)
        run = re.findall(r"^\t\$\(RUN\) (ruff \w+|[\w-]+)", recipe, re.MULTILINE)
        (sentence,) = re.findall(r"`make check` runs (.+?);", TEXT, re.DOTALL)

        assert re.findall(r"`([\w -]+)`", sentence) == run

    def test_that_have_to_pass_are_those_of_the_script(self) -> None:
        script = (ROOT / ".ci" / "run").read_text("utf-8")
        (loop,) = re.findall(r"^for target in (.+); do$", script, re.MULTILINE)
        (sentence,) = re.findall(r"`\.ci/run` is what has to pass: (.+?)\.(?: |\n)", TEXT)

        assert re.findall(r"`make ([\w-]+)`", sentence) == loop.split()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", *PAGES])
def test_files_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"`([\w./-]+\.(?:py|sql|toml|md))(?:::\w+)*`", text)) - ELSEWHERE
    names = {name.removeprefix("src/oban_pro/") for name in named}
    folders = [ROOT, ROOT / "tests", PACKAGE, PACKAGE / "sql", (ROOT / page).parent]

    assert {name for name in names if not any((one / name).exists() for one in folders)} == set()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text("utf-8"))

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
