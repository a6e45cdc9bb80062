"""The rules of the house that no linter knows: sizes, names, and who may do what."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.paths import PACKAGE, ROOT

MAX_FUNCTION = 50
"""Lines of a Python function, its docstring left out."""

MAX_MODULE = 450
"""Lines of a Python module."""

MAX_SQL_FUNCTION = 150
"""Lines of a function in SQL, its header left out."""

OPENERS = {
    "engine/connecting.py": "where a DSN is all that is known",
    "engine/blocking_connection.py": "what blocks is opened by psycopg's blocking half",
    "_host.py": "one beside oban's pool, for what must not wait for its turn there",
    "demo/node.py": "a node as `oban start` runs one, on oban's own pool",
}
"""Modules that open a connection or a pool, and why they may."""

TWINS = {"sync/twins.py": "blocking code imports what it is called elsewhere from here"}
"""Modules whose classes have the names of others, and why they may."""

ERRORS = {
    "errors.py": "all that users catch",
    "embedded/errors.py": "comes with an optional room that imports nothing of ours",
    "cli/failures.py": "ends a command, and no Python code of anybody's",
    "model/parking.py": "ends an execution from within; nobody is to catch it",
    "values/codec/tags.py": "is caught in the codec, which raises one of the public ones",
}
"""Modules that define exceptions, and why they may."""

WORDS = 4
"""The fewest words in the name of a test, "test" left out: fewer are no sentence."""

MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
BENCHMARKS = {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob("benchmarks/**/*.py")}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in (MODULES | BENCHMARKS).items()}

SQL = PACKAGE / "sql"
FUNCTIONS = {path.stem: path.read_text("utf-8") for path in SQL.glob("functions/*/*.sql")}
MIGRATIONS = {path.name: path.read_text("utf-8") for path in SQL.glob("migrations/*.sql")}


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without those of its docstring."""
    first = node.body[0]
    is_documented = ast.get_docstring(node) is not None
    documented = first.end_lineno - first.lineno + 1 if is_documented and first.end_lineno else 0

    return (node.end_lineno or 0) - node.lineno + 1 - documented


def opens_connections(tree: ast.Module) -> bool:
    """Tell whether a module calls what opens a connection, or what makes a pool."""
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    opening = r"(Connection|psycopg)\.connect|(\w+\.)*(Async)?ConnectionPool|.*\bcreate_pool"
    private = r"type\(.*\)\._connect"

    return any(re.fullmatch(rf"(\w+\.)*(Async)?({opening})|{private}", call) for call in calls)


def exceptions_of(tree: ast.Module) -> list[str]:
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(re.search(r"(Error|Exception|Failure)$", ast.unparse(base)) for base in node.bases)
    ]


class TestSizes:
    def test_functions_have_few_lines(self) -> None:
        lines = {
            (name, function.name, function.lineno): lines_of(function)
            for name, tree in TREES.items()
            for function in functions_of(tree)
        }

        assert {name: count for name, count in lines.items() if count > MAX_FUNCTION} == {}

    def test_modules_have_few_lines(self) -> None:
        lines = {
            name: path.read_text("utf-8").count("\n")
            for name, path in (MODULES | BENCHMARKS).items()
        }

        assert {name: count for name, count in lines.items() if count > MAX_MODULE} == {}

    def test_functions_in_sql_are_short(self) -> None:
        lines = {name: text[text.index("CREATE") :].count("\n") for name, text in FUNCTIONS.items()}

        long = {name for name, count in lines.items() if count > MAX_SQL_FUNCTION}
        assert long == set()


class TestNames:
    def test_no_two_classes_share_one(self) -> None:
        names = Counter(
            node.name
            for name in MODULES.keys() - TWINS.keys()
            for node in ast.walk(TREES[name])
            if isinstance(node, ast.ClassDef)
        )

        assert {name for name, count in names.items() if count > 1} == set()

    def test_of_sql_files_are_those_of_their_functions(self) -> None:
        defined = {
            name: re.findall(r"CREATE OR REPLACE FUNCTION (\w+)\(", text)
            for name, text in FUNCTIONS.items()
        }

        assert defined == {name: [f"oban_workflow_{name}"] for name in FUNCTIONS}

    def test_of_functions_that_nodes_call_end_in_a_version(self) -> None:
        callers = [*SQL.glob("queries/*.sql"), *SQL.glob("dashboard/*.sql"), *MODULES.values()]
        called = {
            name
            for path in callers
            for name in re.findall(r"\boban_workflow_(\w+)\(", path.read_text("utf-8"))
        }

        assert called
        assert {name for name in called if not re.search(r"_v\d+$", name)} == set()
        assert called - FUNCTIONS.keys() == set()

    def test_of_tests_have_enough_words_for_a_sentence(self) -> None:
        names = {
            (path.relative_to(ROOT).as_posix(), name)
            for folder in (ROOT / "tests").iterdir()
            for path in folder.glob("test_*.py")
            for name in re.findall(r"\bdef test_(\w+)\(", path.read_text("utf-8"))
        }

        assert names
        assert {(path, name) for path, name in names if name.count("_") < WORDS - 1} == set()

    def test_are_numbered_without_gaps(self) -> None:
        numbers = [int(name.split("_")[0]) for name in sorted(MIGRATIONS)]

        assert numbers == [*range(1, len(numbers) + 1)]

    @pytest.mark.parametrize("name", sorted(MIGRATIONS))
    def test_have_all_constraints_and_indexes(self, name: str) -> None:
        statements = re.sub(r"--.*", "", MIGRATIONS[name])
        found = r"^.*\b(?:PRIMARY KEY|UNIQUE|CHECK|FOREIGN KEY|REFERENCES|EXCLUDE|INDEX)\b.*$"
        named = r"\s*((ADD )?CONSTRAINT \w+ .*|(CREATE|ALTER|DROP) (UNIQUE )?INDEX .*\w+_index\b.*)"
        lines = re.findall(found, statements, re.MULTILINE)

        assert [line for line in lines if not re.fullmatch(named, line)] == []


class TestDuties:
    def test_only_few_modules_open_connections(self) -> None:
        opening = {name for name in MODULES if opens_connections(TREES[name])}

        assert opening == OPENERS.keys()

    @pytest.mark.parametrize(
        ("folder", "modules"),
        [
            (
                "queries",
                [
                    "engine/context_statements.py",
                    "engine/end_statements.py",
                    "engine/store.py",
                    "engine/schedule_statements.py",
                    "engine/search_statements.py",
                    "engine/stat_statements.py",
                    "engine/stream_statements.py",
                    "engine/code_statements.py",
                    "engine/object_statements.py",
                    "engine/reuse_statements.py",
                    "engine/timing_statements.py",
                    "engine/trace_statements.py",
                    "engine/partition_index.py",
                    "engine/wait_statements.py",
                    "schema.py",
                    "rights.py",
                    "engine/key_statements.py",
                ],
            ),
            (
                "dashboard",
                [
                    "web/statements.py",
                    "web/queue_statements.py",
                    "web/history_statements.py",
                    "web/hold_statements.py",
                    "web/list_statements.py",
                ],
            ),
        ],
    )
    def test_every_statement_is_that_of_one_module(self, folder: str, modules: list[str]) -> None:
        names = [path.stem for path in SQL.glob(f"{folder}/*.sql")]
        code = [MODULES[name].read_text("utf-8") for name in modules]
        users = {name: sum(f'"{name}"' in text for text in code) for name in names}

        assert users == dict.fromkeys(names, 1)

    def test_only_errors_has_what_users_catch(self) -> None:
        defining = {name for name in MODULES if exceptions_of(TREES[name])}

        assert defining == ERRORS.keys()

    def test_only_support_has_what_folders_of_tests_share(self) -> None:
        tests = ROOT / "tests"
        imported = {
            (path.relative_to(tests).as_posix(), module)
            for path in tests.rglob("*.py")
            for module in re.findall(r"\b(?:from|import) tests\.(\w+)", path.read_text("utf-8"))
        }

        assert {
            (name, module)
            for name, module in imported
            if module not in ("support", name.partition("/")[0])
        } == set()

    def test_helpers_of_tests_return_rows_without_columns(self) -> None:
        """A description without columns is false, so rows of ``SELECT FROM …`` would vanish."""
        found = [
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / "tests").rglob("*.py")
            if re.search(r"\bif (not )?\w+\.description( else|:)", path.read_text("utf-8"))
        ]

        assert found == []


class TestErrors:
    def test_of_jobs_are_written_by_one_function_and_read_by_their_key(self) -> None:
        files = {path.relative_to(SQL).as_posix() for path in SQL.glob("[fqd]*/**/*.sql")}
        texts = {name: (SQL / name).read_text("utf-8") for name in files}
        writing = {name for name, text in texts.items() if "'attempt'," in text and "'at'," in text}
        knowing = {name for name, text in texts.items() if "cancelled because upstream" in text}

        assert writing == knowing == {"functions/propagate/job_error.sql"}


class TestPointers:
    def test_to_pages_of_the_docs_lead_somewhere(self) -> None:
        files = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".sql", ".md"}]
        pointers = {
            pointer
            for path in files
            for pointer in re.findall(r"\bdocs/[\w/.-]+\.md\b", path.read_text("utf-8"))
        }

        assert pointers
        assert {one for one in pointers if not (ROOT / one).exists()} == set()
