"""A check that a fresh installation works, with the database that OBAN_DSN names."""

import asyncio
import os
from typing import Any

from oban import Oban

from oban_pro import Workflow, from_result, schema


async def find(context: dict[str, Any]) -> list[int]:
    return list(range(context["count"]))


def square(number: int, context: dict[str, Any]) -> int:
    return number**2


async def add(context: dict[str, Any]) -> int:
    return sum(context["square"].values())


async def main() -> None:
    workflow = (
        Workflow()
        .add_context({"count": 4})
        .add_cascade("find", find)
        .add_cascade("square", (from_result("find"), square), deps="find")
        .add_cascade("add", add, deps="square")
    )
    pool = await Oban.create_pool(os.environ["OBAN_DSN"])

    async with pool:
        await schema.install(pool)

        async with Oban(pool=pool, queues={"default": 4}, stager={"interval": 0.1}) as oban:
            await oban.enqueue_many(workflow)
            status = await workflow.wait(timeout=30)
            print(status.state, await workflow.get_recorded("add"))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
