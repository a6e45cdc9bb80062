"""A user's program that runs an Oban in its event loop and handles SIGTERM itself.

Run it as ``python -m tests.support.program``. If nobody stops it, it exits with 7.
"""

import asyncio
import os
import signal
import sys

from oban import Oban


async def main() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    pool = await Oban.create_pool(os.environ["OBAN_DSN"])

    async with pool:
        async with Oban(pool=pool, queues={"default": 5}, node="node-1", shutdown_grace_period=0.1):
            await stopping.wait()

        # The program ends itself.
        await asyncio.sleep(0.1)

    sys.exit(7)


if __name__ == "__main__":
    asyncio.run(main())
