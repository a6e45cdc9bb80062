"""What needs a person: workflows of the list that are stuck or failing, and open waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from oban_pro.model.wording import human_duration

from .finding import Root
from .templating import render

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from .list_statements import ListRow
    from .statements import PageStore

MOST_WAITS = 100
"""How many open waits for signals are looked at."""

MOST_URGENT = 50
"""How many workflows are looked at whose deadline is near, and how many of the oldest."""

FEW_JOBS = 20
"""How many jobs of such a workflow are asked for their queue."""

LONG = timedelta(hours=2)
"""How long nothing may happen in a workflow before somebody should look."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What the database knows beyond the workflows on a page.

    Args:
        served: Queues that a node takes jobs from; None where nobody can know.
        deadlines: The next deadlines that are near, by id of the root workflow.
        waits: How many waits for signals are open, `MOST_WAITS` at most.
        candidates: Workflows that may need somebody, wherever the list has them.
    """

    served: Collection[str] | None
    deadlines: Mapping[str, datetime]
    waits: int
    candidates: Sequence[ListRow]

    def needed(self, root: dict[str, Any]) -> list[str]:
        """Say what a workflow of the list needs, the most urgent first."""
        counts = root["counts"]
        needed: list[str] = []

        if root["state"] != "executing":
            return needed

        now = datetime.now(UTC)
        idle: list[str] = []

        if counts["discarded"]:
            needed.append("failed, and still runs")

        if (deadline := self.deadlines.get(root["id"])) is not None:
            needed.append(f"deadline in {human_duration(deadline - now, units=1)}")

        if self.served is not None and counts["available"] and not counts["executing"]:
            idle = [queue for queue in root["queues"] if queue not in self.served]
            needed += [f"no node takes jobs from {', '.join(idle)}"] if idle else []

        if root["is_waiting"]:
            needed.append("waits for a signal")
        elif not idle and _is_forgotten(root, now):
            quiet = human_duration(now - root["moved_at"], units=1)
            needed.append(f"nothing happened for {quiet}")

        return needed

    async def others(self, store: PageStore, shown: Collection[str]) -> list[Root]:
        """Read those of the candidates that are not shown, with what is known of their jobs."""
        rows = [row for row in self.candidates if row.id not in shown]
        counted = await store.count_roots([row.id for row in rows], FEW_JOBS)

        return [Root(row, counted[row.id]) for row in rows if row.id in counted]


def _is_forgotten(root: dict[str, Any], now: datetime) -> bool:
    """Tell whether nothing happens in a workflow although nothing holds it back."""
    is_held = root["is_paused"] or root["is_queued"] or root["is_timed"]

    return not is_held and bool(root["moved_at"] < now - LONG)


async def read_attention(store: PageStore) -> Attention:
    """Read what the list tells of all workflows at once."""
    waits = await store.inbox(MOST_WAITS)
    urgent = await store.lists.urgent([one.workflow_id for one in waits], MOST_URGENT)
    deadlines = {one.row.id: one.deadline for one in urgent if one.deadline is not None}

    return Attention(await store.served(), deadlines, len(waits), [one.row for one in urgent])


async def show_waits(request: Request) -> Response:
    """Show what waits for signals, in all workflows: what is due first comes first."""
    async with request.app.state.session.connect() as store:
        waits = await store.inbox(MOST_WAITS + 1)

    shown = waits[:MOST_WAITS]
    operators = request.app.state.operators
    # The app may have to ask for each workflow who may answer.
    ids = sorted({one.workflow_id for one in shown if one.wait.choices})
    allowed = await asyncio.gather(*[operators.allowed(request, id, ["signal"]) for id in ids])

    return render(
        request,
        "_waits.html" if "HX-Request" in request.headers else "waits.html",
        waits=shown,
        more=len(waits) > MOST_WAITS,
        answerable={id for id, actions in zip(ids, allowed, strict=True) if actions},
        at=datetime.now(UTC),
    )
