"""How members are addressed: names on a way, separated by slashes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oban_pro.model.paths import is_path, join_path, split_path

PARTS = [
    ("a", ("a",)),
    ("a/b", ("a", "b")),
    ("reviews/legal/second look", ("reviews", "legal", "second look")),
    (r"a\/b", ("a/b",)),
    (r"a\/b/c", ("a/b", "c")),
    (r"a\\/b", ("a\\", "b")),
    (r"a\\\/b", (r"a\/b",)),
    ("", ("",)),
    ("a//b", ("a", "", "b")),
    ("a/", ("a", "")),
]


@pytest.mark.parametrize(("path", "names"), PARTS)
def test_a_path_is_split_at_each_slash_that_is_not_escaped(
    path: str, names: tuple[str, ...]
) -> None:
    assert split_path(path) == names


@pytest.mark.parametrize(("path", "names"), PARTS)
def test_names_are_joined_as_they_are_split(path: str, names: tuple[str, ...]) -> None:
    assert join_path(names) == path


@pytest.mark.parametrize(("path", "names"), [(r"a\b", (r"a\b",)), ("a\\", ("a\\",))])
def test_a_backslash_before_anything_else_is_one(path: str, names: tuple[str, ...]) -> None:
    assert split_path(path) == names


@given(st.lists(st.text("ab/\\\n"), min_size=1))
def test_whatever_is_joined_is_split_into_the_same_names(names: list[str]) -> None:
    assert split_path(join_path(names)) == tuple(names)


def test_a_name_is_a_path_if_it_has_something_to_split_or_to_unescape() -> None:
    assert [name for name in ("a", "a b", "a/b", r"a\b") if is_path(name)] == ["a/b", r"a\b"]
