"""What a node keeps of the contexts that the jobs of a workflow share."""

from oban_pro.engine.context_loader import ENTRY_SIZE, NO_GATE, _Cache, _Contexts, _Gate, _Shared
from oban_pro.engine.context_statements import ContextData, SharedVersions
from oban_pro.values.recorded import Source


def shared(size: int = 100, version: str | None = "1", gate: str | None = "1") -> _Shared:
    """Build what two halves of a size are in: contexts, and what the gate depends on."""
    half = size // 2

    return _Shared(_Contexts(version, ["x" * half]), _Gate(gate, [source("x" * (size - half))]))


def source(value: str) -> Source:
    return Source(1, None, "a", "job", value)


def data(versions: SharedVersions) -> ContextData:
    """Build what the statement returns of the group -7 if no version is known."""
    return ContextData({}, {-7: versions}, {-7: ['{"new": 1}']}, {-7: [source("new")]})


def room_for(entries: int, size: int = 100) -> int:
    return entries * (size + ENTRY_SIZE)


class TestCache:
    def test_finds_what_was_put_by_workflow(self) -> None:
        cache, kept = _Cache(), shared()
        cache.put("w", -7, kept)
        assert cache.get(["w", "w", "other"]) == {-7: kept}

    def test_evicts_what_was_put_longest_ago(self) -> None:
        cache = _Cache(room_for(2))

        for number in range(3):
            cache.put(f"w{number}", number, shared())

        assert cache.get(["w0", "w1", "w2"]).keys() == {1, 2}

    def test_evicts_as_many_as_a_large_one_needs(self) -> None:
        cache = _Cache(room_for(3))

        for number in range(3):
            cache.put(f"w{number}", number, shared())

        cache.put("large", 9, shared(100 + room_for(1)))
        assert cache.get(["w0", "w1", "w2", "large"]).keys() == {2, 9}

    def test_keeps_what_is_used_again_longer(self) -> None:
        cache = _Cache(room_for(2))
        cache.put("w0", 0, shared())
        cache.put("w1", 1, shared())
        cache.put("w0", 0, shared())
        cache.put("w2", 2, shared())
        assert cache.get(["w0", "w1", "w2"]).keys() == {0, 2}

    def test_counts_what_is_put_again_once(self) -> None:
        cache = _Cache(room_for(2))

        for _ in range(10):
            cache.put("w0", 0, shared())
            cache.put("w1", 1, shared())

        assert cache.get(["w0", "w1"]).keys() == {0, 1}

    def test_keeps_nothing_that_is_larger_than_all_its_room(self) -> None:
        cache = _Cache(room_for(1))
        cache.put("w", 0, shared(101))
        assert cache.get(["w"]) == {}

    def test_keeps_nothing_of_a_workflow_that_was_removed(self) -> None:
        cache = _Cache()
        cache.put("w", 0, shared())
        cache.put("w", 0, shared(version=None))
        assert cache.get(["w"]) == {}


class TestShared:
    def test_keeps_contexts_without_results_that_may_change_at_any_time(self) -> None:
        kept = shared(gate=None)
        assert kept.lasting == (kept.contexts, NO_GATE)

    def test_keeps_both_parts_while_their_versions_are_equal(self) -> None:
        kept = shared()
        assert kept.updated(-7, data(SharedVersions(True, "1", "1"))) == kept

    def test_takes_new_results_of_the_gate_beside_the_same_contexts(self) -> None:
        kept = shared()
        contexts, gate = kept.updated(-7, data(SharedVersions(True, "1", "2")))
        assert contexts is kept.contexts
        assert (gate.version, gate.size) == ("2", len("new"))

    def test_takes_a_version_that_begins_like_the_one_before_for_another_one(self) -> None:
        contexts, gate = shared().updated(-7, data(SharedVersions(True, "11", "11")))
        assert contexts.values == {"new": 1}
        assert gate.version == "11"

    def test_reads_results_that_may_change_each_time(self) -> None:
        _, gate = shared().updated(-7, data(SharedVersions(True, "1", None)))
        assert (gate.version, gate.size) == (None, len("new"))

    def test_keeps_the_results_of_the_gate_for_jobs_that_wait_for_it_later(self) -> None:
        kept = shared()
        assert kept.updated(-7, data(SharedVersions(False, "1", None))) == kept
