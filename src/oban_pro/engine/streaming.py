"""Reading what many jobs have recorded, in constant memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from oban_pro.model.paths import join_path
from oban_pro.values.recorded import decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from .session import Session
    from .store import Store
    from .stream_statements import Range, RecordedRow

RANGES = 50_000
"""How many ranges of ids are known at a time. What is inserted at once is one range, or few."""

PAGE = 1_000
"""How many jobs one page looks at."""

PAGE_SIZE = 1_000_000
"""About how many bytes one page reads, as they are stored."""


async def recorded_rows(
    session: Session[Store], part: int, *, deep: bool
) -> AsyncIterator[RecordedRow]:
    """Yield the jobs of a part of a workflow that recorded something, in order of id.

    No transaction is open between two pages. Jobs that are added after it has begun may be left
    out; of one whose state changes, what counts is when its page is read.

    Args:
        session: How to reach the database.
        part: A job, or a group by its key.
        deep: Whether jobs of nested workflows are among them.
    """
    ranges: list[Range] = [(0, 0)]

    while ranges:
        after = ranges[-1][1]
        ranges = await session.read(partial(_ranges, part=part, after=after, deep=deep))

        for window in _windows(ranges):
            left = window

            while left:
                rows = await session.read(partial(_page, ranges=left))

                for row in rows:
                    if row.value is not None:
                        yield row

                left = _behind(rows[-1].id, left) if rows and rows[-1].more else []


def decoded(row: RecordedRow) -> Iterator[tuple[list[str], Any]]:
    """Yield what a job recorded, with its path; of a batch, each of its results.

    Raises:
        CodecError: Naming the job.
    """
    value = decode(join_path(row.path), row.value or "")

    if row.is_batch:
        yield from (([*row.path[:-1], name], result) for name, result in value.items())
    else:
        yield row.path, value


async def find_item(store: Store, part: int, item: str) -> tuple[list[str], Any] | None:
    """Return the result of one item of a fan-out in batches, with its path; None if none is."""
    batch = await store.batch_of(part, item)
    rows = [] if batch is None else await store.recorded_page([(batch, batch)], 1)
    results = (found for row in rows if row.value is not None for found in decoded(row))

    return next((found for found in results if found[0][-1] == item), None)


async def _ranges(store: Store, part: int, after: int, *, deep: bool) -> list[Range]:
    return await store.recorded_ranges(part, after, RANGES, deep=deep)


async def _page(store: Store, ranges: Sequence[Range]) -> list[RecordedRow]:
    return await store.recorded_page(ranges, PAGE_SIZE)


def _windows(ranges: Sequence[Range]) -> Iterator[list[Range]]:
    """Divide ranges into such as a page looks at."""
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
    """Yield where the parts of a range start: the first part fits in some room."""
    yield first
    yield from range(first + room, last + 1, PAGE)


def _behind(id: int, ranges: Sequence[Range]) -> list[Range]:
    return [(max(first, id + 1), last) for first, last in ranges if last > id]
