"""How limits are divided among processes, and sizes are read."""

from typing import Any

import pytest
from click import BadParameter
from hypothesis import given
from hypothesis import strategies as st

from oban_pro.cli.processes.giving_back import describe_death
from oban_pro.cli.processes.recycling import Bytes, Worn, resident_bytes
from oban_pro.cli.processes.shares import Shares, offsets_of

MEGA = 1024**2


def divided(queues: dict[str, Any], processes: int) -> list[dict[str, Any]]:
    offsets = offsets_of(queues, processes)

    return [Shares(number, processes, offsets).divide(queues) for number in range(processes)]


class TestShares:
    @given(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1),
        st.integers(1, 12),
    )
    def test_are_all_of_the_limit_and_differ_by_at_most_one(
        self, queues: dict[str, int], processes: int
    ) -> None:
        parts = divided(queues, processes)

        for queue, limit in queues.items():
            shares = [part[queue]["limit"] if queue in part else 0 for part in parts]
            assert sum(shares) == limit
            assert max(shares) - min(shares) <= 1

        # so that not always the same processes have more to do
        totals = [sum(config["limit"] for config in part.values()) for part in parts]
        assert max(totals) - min(totals) <= 1

    def test_a_share_of_a_queue_keeps_its_other_options(self) -> None:
        first, second = divided({"a": {"limit": 3, "paused": True}, "b": {"paused": True}}, 2)
        assert [first["a"], second["a"]] == [
            {"limit": 2, "paused": True},
            {"limit": 1, "paused": True},
        ]
        assert first["b"] == second["b"] == {"limit": 5, "paused": True}

    def test_of_a_queue_that_was_started_later_are_divided_too(self) -> None:
        shares = [Shares(number, 3, {}).part_of("later", 4) for number in range(3)]
        assert sorted(shares) == [1, 1, 2]


class TestSizes:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("1000", 1000),
            ("512M", 512 * 1024**2),
            ("1.5g", 3 * 1024**3 // 2),
            ("2GiB", 2 * 1024**3),
        ],
    )
    def test_a_size_with_a_unit_is_read_as_bytes(self, text: str, size: int) -> None:
        assert Bytes().convert(text, None, None) == size

    @pytest.mark.parametrize("text", ["", "M", "-1", "0", "much", "1e400", "nan", "5X"])
    def test_of_no_use_are_refused(self, text: str) -> None:
        with pytest.raises(BadParameter, match="is no size: write 512M"):
            Bytes().convert(text, None, None)


class TestWorn:
    def test_is_a_process_that_has_run_enough_jobs(self) -> None:
        worn = Worn(2, None)
        assert [worn.after_job() is None for _ in range(3)] == [True, False, False]

    def test_is_a_process_that_uses_too_much_memory(self) -> None:
        used = resident_bytes()
        assert used > 1024**2
        assert Worn(None, 2 * used).after_job() is None
        assert "MB of memory" in str(Worn(None, used // 2).after_job())


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (3, "ended with exit code 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-99, "was killed by signal 99"),
    ],
)
def test_a_death_is_told_in_words(code: int, how: str) -> None:
    assert describe_death("web-1.7", code) == f"node web-1.7 {how} before the job had settled"
