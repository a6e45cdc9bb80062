"""Reading what many jobs have recorded, in constant memory."""

from __future__ import annotations

from functools import partial
from heapq import merge
from typing import TYPE_CHECKING, Any, Protocol

from oban_pro.model.paths import join_path
from oban_pro.values.recorded import read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence

    from .store import Store
    from .stream_statements import Range, RecordedRow

RANGES = 50_000
"""How many ranges of ids are known at a time. What is inserted at once is one range, or few."""

PAGE = 1_000
"""How many jobs one page looks at."""

PAGE_SIZE = 1_000_000
"""About how many bytes one page reads, as they are stored."""


class Reader(Protocol):
    """Reads from the database; a session is one."""

    async def read[Result](self, body: Callable[[Store], Awaitable[Result]], /) -> Result:
        """Call a function with the statements."""
        ...


class Seen:
    """Jobs that need not be looked at again, as ranges of ids: few, as long as few are open."""

    def __init__(self) -> None:
        self._ranges: list[Range] = []

    def add(self, ids: Iterable[int]) -> None:
        """Note some jobs, in order of id."""
        joined: list[Range] = []

        for first, last in merge(self._ranges, ((id, id) for id in ids)):
            if joined and first == joined[-1][1] + 1:
                joined[-1] = joined[-1][0], last
            else:
                joined.append((first, last))

        self._ranges = joined

    def left_of(self, ranges: Iterable[Range]) -> Iterator[Range]:
        """Yield what of some ranges, in order, is to be looked at."""
        seen = iter(self._ranges)
        hidden = next(seen, None)

        for first, last in ranges:
            start = first

            while hidden is not None and hidden[0] <= last:
                if start < hidden[0]:
                    yield start, hidden[0] - 1

                start = max(start, hidden[1] + 1)

                if hidden[1] > last:
                    break

                hidden = next(seen, None)

            if start <= last:
                yield start, last


async def recorded_rows(
    reader: Reader, part: int, *, deep: bool, seen: Seen | None = None
) -> AsyncIterator[RecordedRow]:
    """Yield the jobs of a part of a workflow that recorded something, in order of id.

    No transaction is open between two pages. Jobs that are added after it has begun may be left
    out; of one whose state changes, what counts is when its page is read.

    Args:
        reader: How to reach the database.
        part: A job, or a group by its key.
        deep: Whether jobs of nested workflows are among them.
        seen: Jobs to leave out, to which those are added that have completed.
    """
    ranges: list[Range] = [(0, 0)]

    while ranges:
        after = ranges[-1][1]
        ranges = await reader.read(partial(_ranges, part=part, after=after, deep=deep))

        for window in _windows(ranges if seen is None else [*seen.left_of(ranges)]):
            left = window

            while left:
                rows = await reader.read(partial(_page, ranges=left))

                for row in rows:
                    if row.value is not None:
                        yield row

                if seen is not None:
                    seen.add(row.id for row in rows)

                left = _behind(rows[-1].id, left) if rows and rows[-1].more else []


async def values_of(row: RecordedRow) -> list[tuple[list[str], Any]]:
    """Return what a job recorded, with its path; of a batch, each of its results.

    Raises:
        CodecError: Naming the job.
    """
    value = await read(join_path(row.path), row.value or "")

    if row.is_batch:
        return [([*row.path[:-1], name], result) for name, result in value.items()]

    return [(row.path, value)]


async def find_item(store: Store, part: int, item: str) -> RecordedRow | None:
    """Return the batch that recorded the result of an item of a fan-out; None if none did."""
    batch = await store.batch_of(part, item)
    rows = [] if batch is None else await store.recorded_page([(batch, batch)], 1)

    return next((row for row in rows if row.value is not None), None)


async def item_of(row: RecordedRow | None, item: str) -> tuple[list[str], Any] | None:
    """Return the result of one item of a batch, with its path; None if it has none."""
    values = [] if row is None else await values_of(row)

    return next((found for found in values if found[0][-1] == item), None)


async def _ranges(store: Store, part: int, after: int, *, deep: bool) -> list[Range]:
    return await store.recorded_ranges(part, after, RANGES, deep=deep)


async def _page(store: Store, ranges: Sequence[Range]) -> list[RecordedRow]:
    return await store.recorded_page(ranges, PAGE_SIZE)


def _windows(ranges: Sequence[Range]) -> Iterator[list[Range]]:
    """Divide ranges into parts, each for one page."""
    window: list[Range] = []
    room = PAGE

    for first, last in ranges:
        for start in _starts(first, last, room):
            end = min(last, start + room - 1)
            window.append((start, end))
            room -= end - start + 1

            if not room:
                yield window
                window, room = [], PAGE

    if window:
        yield window


def _starts(first: int, last: int, room: int) -> Iterator[int]:
    """Yield where the parts of a range start; the first part fills what room is left on a page."""
    yield first
    yield from range(first + room, last + 1, PAGE)


def _behind(id: int, ranges: Sequence[Range]) -> list[Range]:
    return [(max(first, id + 1), last) for first, last in ranges if last > id]
