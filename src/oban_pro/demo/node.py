"""One worker process of the demo, a node of oban like any that ``oban start`` runs.

It is configured by oban's own environment variables. Unlike ``oban start`` it reads no oban.toml,
and works until its standard input ends, which also happens when whoever started it is killed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from oban.telemetry import logger as telemetry_logger

from oban_pro import _host, configure


async def work() -> None:
    """Run jobs until standard input ends; then finish those that run."""
    config = _host.Config.from_env()
    pool = await config.create_pool()

    async with pool, await config.create_oban(pool):
        await asyncio.to_thread(sys.stdin.buffer.read)


def main() -> None:
    """Run a node, and log its jobs to standard error."""
    # A terminal interrupts all its processes; the parent decides what that means for this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # This overrides the settings of the working directory.
    configure(modules=["oban_pro.demo"])
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    telemetry_logger.attach()
    asyncio.run(work())


if __name__ == "__main__":
    main()
