"""What needs a person: workflows of the list that are stuck or failing, and open waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .templating import render

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request
    from starlette.responses import Response

    from .statements import PageStore

MOST_WAITS = 100
"""How many open waits for signals are looked at."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What the database knows beyond single workflows.

    Args:
        served: Queues that a node takes jobs from; None where nobody can know.
        waiting: Ids of root workflows in which something waits for a signal.
        waits: How many such waits there are, `MOST_WAITS` at most.
    """

    served: Collection[str] | None
    waiting: Collection[str]
    waits: int

    def needed(self, root: dict[str, Any]) -> list[str]:
        """Say what a workflow of the list needs, the most urgent first."""
        counts = root["counts"]
        needed: list[str] = []

        if root["state"] != "executing":
            return needed

        if counts["discarded"]:
            needed.append("failed, and still runs")

        if self.served is not None and counts["available"] and not counts["executing"]:
            idle = [queue for queue in root["queues"] if queue not in self.served]
            needed += [f"no node takes jobs from {', '.join(idle)}"] if idle else []

        if root["id"] in self.waiting:
            needed.append("waits for a signal")

        return needed


async def read_attention(store: PageStore) -> Attention:
    """Read what the list tells of all workflows at once."""
    waits = await store.inbox(MOST_WAITS)

    return Attention(await store.served(), {one.workflow_id for one in waits}, len(waits))


async def show_waits(request: Request) -> Response:
    """Show what waits for signals, in all workflows: what is due first comes first."""
    async with request.app.state.session.connect() as store:
        waits = await store.inbox(MOST_WAITS + 1)

    return render(
        request,
        "_waits.html" if "HX-Request" in request.headers else "waits.html",
        waits=waits[:MOST_WAITS],
        more=len(waits) > MOST_WAITS,
        at=datetime.now(UTC),
    )
