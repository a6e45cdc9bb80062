"""What the list of workflows is asked for, and finding it a page at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from oban_pro.building.attributes import attributes_json, check_attributes
from oban_pro.errors import InvalidArgumentError
from oban_pro.model.typed import read_attribute, read_moment

from .list_statements import ListFilters, ListRow, Spot
from .queries import MOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import QueryParams

    from .statements import PageStore, RootRow

LOOKED_AT = 10_000
"""How many workflows one page tests for something that no index finds."""

CHUNK = 100
"""How many workflows one statement tests by their jobs."""

MOST_ASKED = 500
"""How many workflows one page tests by their jobs."""

IDS = 500
"""How many ids are read at once."""

JOBS = 2_000
"""How many jobs of one workflow are tested by their queue and worker."""

STORED = ("executing", "completed", "cancelled", "discarded")
"""States of workflows as they are stored."""

HELD = ("paused", "in line")
"""What holds workflows back that are executing."""

STATES = (*STORED, *HELD)
"""States to filter by."""

OPEN = ("suspended", "available", "scheduled", "executing", "retryable")
"""States of jobs that an executing workflow alone has."""

JOB_STATES = (*OPEN, "completed", "cancelled", "discarded")

ORDERS = {
    "newest": "newest first",
    "oldest": "oldest first",
    "ended": "ended last first",
    "longest": "longest on the page first",
    "largest": "most jobs on the page first",
    "name": "page by name",
}
"""Orders of the list; the last three sort what is on a page of the newest."""


class Root(NamedTuple):
    """A root workflow of the list, and what is known of its jobs, where that was asked."""

    row: ListRow
    counted: RootRow | None


class ListPage(NamedTuple):
    """A page of the list.

    Args:
        roots: What was found.
        before: Before which place the page before ends; None if this is the first one.
        after: After which place the next one begins; None if this is the last one.
        looked_until: Until when those were inserted, or ended, that were looked at; None if the
            page is full, or nothing is left to look at.
    """

    roots: list[Root]
    before: Spot | None
    after: Spot | None
    looked_until: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader asks the list for, as it stands in the address; everything may be empty.

    Args:
        q: A text in the name or the id.
        state: One of `STATES`.
        jobs: A state that a job has.
        queue: A queue that a job is in.
        worker: What runs a job: a worker, or the function of a cascade.
        where: Attributes, each as ``name=value``.
        since: An age, or a moment, from which on they were inserted.
        until: One before which they were.
        order: One of `ORDERS`.
        after: The place where the page before ended.
        before: The place where the page after begins.
    """

    q: str = ""
    state: str = ""
    jobs: str = ""
    queue: str = ""
    worker: str = ""
    where: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    order: str = ""
    after: str = ""
    before: str = ""

    @classmethod
    def of(cls, query: QueryParams) -> Asked:
        """Read what the query of a request asks for."""
        given = {name: query.get(name, "").strip() for name in FIELDS if name != "where"}
        where = tuple(text for one in query.getlist("where") if (text := one.strip()))

        return cls(where=where, **given)

    def to_query(self, **changes: Any) -> str:
        """Write it as a query, with some of it changed; a page of something else is its first."""
        other = replace(self, **{"after": "", "before": "", **changes})
        given = {name: getattr(other, name) for name in FIELDS}

        return urlencode({name: value for name, value in given.items() if value}, doseq=True)

    @property
    def is_filtered(self) -> bool:
        """Whether it asks for anything but an order."""
        return any(
            getattr(self, name) for name in FIELDS if name not in ("order", "after", "before")
        )

    @property
    def needs_jobs(self) -> bool:
        """Whether it asks for what is in the jobs."""
        return bool(self.jobs or self.queue or self.worker)

    def check(self) -> Query:
        """Return what to look for.

        Raises:
            ValueError: If something in it cannot be asked, with the name of the field.
        """
        _choose("state", self.state, STATES)
        _choose("jobs", self.jobs, JOB_STATES)
        _choose("order", self.order, ORDERS)
        state = "executing" if self.state in HELD or self.jobs in OPEN else self.state or None

        if state and self.state in STORED and self.state != state:
            raise ValueError(f"jobs must not be {self.jobs} in {self.state} workflows")

        # Most workflows have completed, so no index has those.
        ended = self.order == "ended"
        indexed = None if ended or state == "completed" else state
        filters = ListFilters(
            state=indexed,
            states=[state] if state and not indexed else None,
            search=self.q or None,
            attributes=_attributes(self.where),
            since=_moment("since", self.since),
            until=_moment("until", self.until),
        )

        return Query(
            self, filters, ended, _place("after", self.after), _place("before", self.before)
        )


FIELDS = tuple(Asked.__slots__)


class Query(NamedTuple):
    """What was asked for, checked.

    Args:
        asked: What the reader wrote.
        filters: What the database is asked.
        ended: Whether the order is that of the end.
        after: See `Asked`.
        before: See `Asked`.
    """

    asked: Asked
    filters: ListFilters
    ended: bool
    after: Spot | None
    before: Spot | None

    async def page(self, store: PageStore, limit: int) -> ListPage:
        """Read a page."""
        is_back = self.before is not None
        place = self.before or self.after
        roots, last = await self._look(store, place, limit + 1, is_back=is_back)
        has_more = len(roots) > limit
        roots = roots[:limit]
        first = roots[0].row.place if roots else None
        last = roots[-1].row.place if has_more else last

        if is_back:
            return ListPage(roots[::-1], last, first or self.before, None)

        until = last.moment if last and not has_more else None

        return ListPage(roots, first if place else None, last, until)

    async def ids(self, store: PageStore, after: Spot | None) -> tuple[list[str], Spot | None]:
        """Read the ids of the next workflows, and the place to go on from, None at the end."""
        roots, last = await self._look(store, after, IDS, is_counted=self.asked.needs_jobs)

        return [root.row.id for root in roots], last

    async def _look(
        self,
        store: PageStore,
        place: Spot | None,
        limit: int,
        *,
        is_counted: bool = True,
        is_back: bool = False,
    ) -> tuple[list[Root], Spot | None]:
        """Look from a place on until enough workflows are found, and perhaps a few more.

        Returns what was found, and the place to go on from, None at the end.
        """
        filters, asked = self.filters, self.asked
        is_narrow = asked.needs_jobs or asked.state in HELD
        wanted = CHUNK if is_narrow else limit
        bound = LOOKED_AT if filters.states or filters.search else wanted
        roots: list[Root] = []
        looked_at = 0

        while True:
            rows = await store.lists.look(
                filters,
                place,
                ended=self.ended,
                ascending=(asked.order == "oldest") != is_back,
                looked_at=bound,
                limit=wanted,
            )
            found = [row for row in rows if row.is_found and self._is_in_state(row)]
            roots += (
                await self._count(store, found)
                if is_counted
                else [Root(row, None) for row in found]
            )

            if len(rows) < wanted and (not rows or rows[-1].number < bound):
                return roots, None

            place, looked_at = rows[-1].place, looked_at + len(rows)

            if len(roots) >= limit or not is_narrow or looked_at >= MOST_ASKED:
                return roots, place

    async def _count(self, store: PageStore, rows: Sequence[ListRow]) -> list[Root]:
        """Count the jobs of workflows, and leave out those whose jobs are not asked for."""
        ids = [row.id for row in rows]
        counted = await store.count_roots(ids, JOBS, workers=bool(self.asked.worker))
        # a workflow that somebody has removed since is not there
        roots = [Root(row, counted[row.id]) for row in rows if row.id in counted]

        return [root for root in roots if root.counted and self._has_jobs(root.counted)]

    def _is_in_state(self, row: ListRow) -> bool:
        match self.asked.state:
            case "paused":
                return row.is_paused
            case "in line":
                return row.is_queued
            case _:
                return True

    def _has_jobs(self, counts: RootRow) -> bool:
        asked = self.asked

        if asked.jobs and not counts[asked.jobs]:  # type: ignore[literal-required]
            return False

        return not (asked.queue or asked.worker) or any(
            queue == (asked.queue or queue) and worker == (asked.worker or worker)
            for queue, worker in counts["seen"]
        )


def write_place(place: Spot) -> str:
    """Write a place in a list as it stands in the address."""
    return f"{place.moment.isoformat()}~{place.key}"


def _place(name: str, text: str) -> Spot | None:
    if not text:
        return None

    moment, _, key = text.partition("~")

    try:
        place = Spot(datetime.fromisoformat(moment), int(key))
    except ValueError:
        place = None

    if place is None or place.moment.tzinfo is None or abs(place.key) > MOST:
        raise ValueError(f"{name} must be a place in the list, got {text!r}")

    return place


def _choose(name: str, value: str, known: Sequence[str] | dict[str, str]) -> None:
    if value and value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _moment(name: str, text: str) -> datetime | None:
    try:
        return read_moment(text, UTC) if text else None
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _attributes(given: Sequence[str]) -> str | None:
    try:
        checked = check_attributes(dict(map(read_attribute, given)))
    except InvalidArgumentError as error:
        raise ValueError(str(error)) from None
    except ValueError as error:
        raise ValueError(f"where {error}") from None

    return None if checked is None else attributes_json(checked)
