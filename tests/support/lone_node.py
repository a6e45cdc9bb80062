"""A node in a separate process, to be killed: ``python -m tests.support.lone_node DSN NAME``."""

import asyncio
import sys

from oban import Oban


async def main(dsn: str, name: str) -> None:
    pool = await Oban.create_pool(dsn, min_size=1, max_size=10)

    async with Oban(pool=pool, queues={"default": 10}, node=name, stager={"interval": 0.05}):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
