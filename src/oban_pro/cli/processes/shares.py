"""How the limits of queues are divided among processes."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

type Queues = dict[str, Any]
"""Limits by queue, or options with a key ``limit``: as in the configuration of oban."""

DEFAULT_LIMIT = 10
"""oban's limit for a queue whose options name none."""


class Shares:
    """The part of one process in the limits of all.

    Parts of a limit differ by at most one. Which processes have one more differs from queue to
    queue, so that not always the same ones have more to do.

    Args:
        number: Of the process, from 0.
        processes: How many there are.
        offsets: The first process that has one more, by queue; see `offsets_of`.
    """

    def __init__(self, number: int, processes: int, offsets: Mapping[str, int]) -> None:
        self._number = number
        self._processes = processes
        self._offsets = offsets

    def part_of(self, queue: str, limit: int) -> int:
        """Return the part of a limit, or 0 if the process has no part in it."""
        least, more = divmod(limit, self._processes)
        # A queue that was started later has no place among the others.
        offset = self._offsets.get(queue, zlib.crc32(queue.encode()))

        return least + ((self._number - offset) % self._processes < more)

    def divide(self, queues: Mapping[str, Any]) -> Queues:
        """Return the queues in which this process has a part, each with that part as its limit."""
        divided = {}

        for queue, config in queues.items():
            options = options_of(config)

            if part := self.part_of(queue, options["limit"]):
                divided[queue] = {**options, "limit": part}

        return divided


def options_of(config: Any) -> dict[str, Any]:
    """Spell the configuration of a queue with all its options."""
    return {"limit": DEFAULT_LIMIT, **config} if isinstance(config, dict) else {"limit": config}


def offsets_of(queues: Mapping[str, Any], processes: int) -> dict[str, int]:
    """Return which process gets a part of each queue first: the next one after the queue before."""
    offsets = {}
    offset = 0

    for queue in sorted(queues):
        offsets[queue] = offset % processes
        offset += options_of(queues[queue])["limit"]

    return offsets
