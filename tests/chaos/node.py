"""A node of the chaos run, as a process: ``python -m tests.chaos.node DSN NAME``."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any

from oban import Oban

# A node may be silent for so many seconds until its jobs start elsewhere.
PATIENCE = 6.0

# What oban promises by default, 90 seconds with a patience of 60, in that measure.
RESCUED = PATIENCE * 1.5

GRACE = 2.0

# How many jobs of each queue run at once at most on all nodes, in all or for each customer.
NARROW, FAIR = "narrow", "fair"
MOST = {NARROW: 3, FAIR: 1}

# The queue with a rate: how many of its jobs start within how many seconds.
RATED = "rated"
ALLOWED, PERIOD = 3, 2.0

LIMITED: dict[str, dict[str, Any]] = {
    NARROW: {"limit": 3, "global_limit": MOST[NARROW]},
    FAIR: {
        "limit": 3,
        "global_limit": MOST[FAIR],
        "partition": {"fields": ["args"], "keys": ["customer"]},
    },
    RATED: {"limit": 5, "rate_limit": {"allowed": ALLOWED, "period": PERIOD}},
}

SETTINGS: dict[str, Any] = {
    "stager": {"interval": 0.2},
    "lifeline": {"interval": 1.0},
    "pruner": {"interval": 1.0},
    "refresher": {"interval": 0.5, "max_age": PATIENCE},
    "shutdown_grace_period": GRACE,
}


async def main(dsn: str, name: str) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    pool = await Oban.create_pool(dsn, min_size=1, max_size=6)

    async with Oban(pool=pool, queues={"default": 10, **LIMITED}, node=name, **SETTINGS):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stopped.wait()

    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
