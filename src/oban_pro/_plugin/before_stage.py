"""``stager.before_stage``: what every node looks after, each time its stager ticks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from oban_pro import _host, schema, telemetry
from oban_pro.store import Store

from . import limbo, rescue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro._host import Query

type BeforeStage = Callable[[Query], Awaitable[None]]

logger = logging.getLogger(__name__)


def build(fallback: BeforeStage) -> BeforeStage:
    """Build the hook in front of another one."""

    async def before_stage(query: Query) -> None:
        await fallback(query)

        for task in (limbo.wake, rescue.sweep, _announce_settled):
            try:
                await task(query)
            except Exception:
                # Staging must go on; the next tick tries again.
                logger.warning("Failed in %s before staging", task.__name__, exc_info=True)

    return before_stage


async def nothing(_query: Query) -> None:
    """Do nothing, as oban by itself."""


async def _announce_settled(query: Query) -> None:
    async with query.connection() as conn:
        if not await schema.is_installed(conn, query):
            return

        settled = await Store(conn, _host.prefix_of(query)).claim_settled()

    for workflow_id, name, state in settled:
        metadata = {"workflow_id": workflow_id, "name": name, "state": state}
        telemetry.execute("oban.workflow.settled", metadata)
