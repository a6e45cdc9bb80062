"""A node with two schedules, which reads the clock of its server all the time."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from oban import Oban

from oban_pro import Workflow
from oban_pro._plugin import fire_schedules
from oban_pro.schedules import schedule

if TYPE_CHECKING:
    from datetime import datetime


async def tell(context: dict[str, Any]) -> str:
    return str(context["tick"])


def build(name: str, tick: datetime) -> Workflow:
    return Workflow(name=name).add_context({"tick": f"{tick:%d %H:%M}"}).add_cascade("tell", tell)


@schedule("0 */4 * * *", name="often", catch_up="all")
def often(tick: datetime) -> Workflow:
    return build("often", tick)


@schedule("30 3 * * *", name="nightly", timezone="Europe/Kyiv")
def nightly(tick: datetime) -> Workflow:
    return build("nightly", tick)


async def run(dsn: str) -> None:
    """Run a node for ever. It prints a line when it is ready."""
    # the server's clock jumps, and otherwise the node would sleep until its next look
    fire_schedules.LOOK_EVERY = 0.0
    pool = await Oban.create_pool(dsn)

    async with Oban(pool=pool, queues={"default": 5}, stager={"interval": 0.2}):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
