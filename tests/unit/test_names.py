"""Names, dependencies and their order."""

from itertools import pairwise

import pytest

from oban_pro import errors
from oban_pro.building.names import check_free, check_known, check_text, normalize_deps, order


class TestCheckText:
    @pytest.mark.parametrize("value", ["a", " ", "0", "ünïcode", "🦉", "a.b/c\n", "x" * 2_000])
    def test_a_text_without_nul_is_returned(self, value: str) -> None:
        assert check_text(value, "name") == value

    @pytest.mark.parametrize("value", ["", None, 1, b"a", ["a"]])
    def test_refuses_what_is_no_text(self, value: object) -> None:
        with pytest.raises(errors.InvalidNameError, match="name must be a non-empty string, got"):
            check_text(value, "name")

    @pytest.mark.parametrize("value", ["a\0b", "\ud800", "x\udfff"])
    def test_refuses_what_postgresql_cannot_hold(self, value: str) -> None:
        with pytest.raises(errors.InvalidNameError, match="workflow id must be text without NUL"):
            check_text(value, "workflow id")

    def test_refuses_what_no_index_takes(self) -> None:
        with pytest.raises(errors.InvalidNameError, match="name must be at most 2000 bytes long"):
            check_text("é" * 1_001, "name")


class TestCheckFree:
    def test_returns_a_name_that_nobody_has(self) -> None:
        assert check_free("a", {"b"}) == "a"

    def test_names_the_name_that_is_taken(self) -> None:
        with pytest.raises(errors.DuplicateNameError, match="'a' is already taken"):
            check_free("a", {"a"})


class TestNormalizeDeps:
    def test_one_name_becomes_a_tuple_of_deps(self) -> None:
        assert normalize_deps("c", "ab") == ("ab",)

    @pytest.mark.parametrize(
        "deps", [["a", "b"], ("a", "b"), {"a": 1, "b": 2}, iter("ab"), ["a", "b", "a"]]
    )
    def test_takes_any_iterable_of_names_and_drops_repetitions(self, deps: object) -> None:
        assert normalize_deps("c", deps) == ("a", "b")

    def test_takes_none_at_all(self) -> None:
        assert normalize_deps("c", []) == ()

    @pytest.mark.parametrize("deps", [None, 1, [1], [["a"]], b"a", [None]])
    def test_refuses_anything_else_and_names_the_job(self, deps: object) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="deps of 'c' must be"):
            normalize_deps("c", deps)

    def test_refuses_a_job_that_depends_on_itself(self) -> None:
        with pytest.raises(errors.CycleError, match="'c' must not depend on itself"):
            normalize_deps("c", ["a", "c"])


class TestCheckKnown:
    def test_names_that_are_known_are_accepted(self) -> None:
        check_known("c", ["a", "b"], {"a", "b"})

    def test_names_the_job_the_missing_name_and_the_closest_one(self) -> None:
        with pytest.raises(
            errors.UnknownDependencyError,
            match=r"^unknown dependency 'exract' of 'load'; did you mean 'extract'\?$",
        ):
            check_known("load", ["exract"], {"extract", "transform"})

    def test_suggests_nothing_where_nothing_is_close(self) -> None:
        with pytest.raises(errors.UnknownDependencyError, match=r"^unknown dependency 'x' of 'y'$"):
            check_known("y", ["x"], {"extract"})


class TestOrder:
    def test_keeps_an_order_that_is_good(self) -> None:
        deps = {"b": [], "a": ["b"], "z": [], "c": ["a", "z"]}
        assert order(deps, deps) == ["b", "a", "z", "c"]

    def test_puts_what_is_depended_on_first(self) -> None:
        ordered = order(["c", "b", "a", "d"], {"c": ["b"], "b": ["a"], "d": ["c", "a"]})
        assert ordered == ["a", "b", "c", "d"]

    def test_spells_out_the_cycle_and_only_the_cycle(self) -> None:
        deps = {"in": ["c"], "a": ["b"], "b": ["c"], "c": ["a"], "other": []}
        with pytest.raises(errors.CycleError) as caught:
            order(deps, deps)
        _, _, path = str(caught.value).partition("got ")
        names = [name.strip("'") for name in path.split(" -> ")]
        assert names[0] == names[-1]
        assert set(names) == {"a", "b", "c"}
        assert all(dep in deps[name] for name, dep in pairwise(names))

    def test_follows_a_chain_longer_than_the_stack(self) -> None:
        deps = {str(n): [str(n + 1)] for n in range(20_000)} | {"20000": []}
        assert order(deps, deps) == [str(n) for n in range(20_000, -1, -1)]
