"""The names of the tests in a file, for pages that name tests."""

import ast

from tests.support.paths import ROOT


def names_in(path: str) -> set[tuple[str, str]]:
    """Return the class and the name of each test in a file, given its path in the repository."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))

    return {
        (group.name, test.name)
        for group in tree.body
        if isinstance(group, ast.ClassDef)
        for test in group.body
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef)
    }
