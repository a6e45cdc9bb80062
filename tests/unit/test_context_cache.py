"""What a node keeps of the contexts that the jobs of a workflow share."""

from oban_pro.engine.context_loader import ENTRY_SIZE, _Cache, _Shared
from oban_pro.values.recorded import Source


def shared(size: int = 100, version: str | None = "1") -> _Shared:
    return _Shared(version, [Source(-1, 1, None, "a", "job", "x" * size)])


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

    def test_forgets_what_may_change_at_any_time(self) -> None:
        cache = _Cache()
        cache.put("w", 0, shared())
        cache.put("w", 0, shared(version=None))
        assert cache.get(["w"]) == {}
