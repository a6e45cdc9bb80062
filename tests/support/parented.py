"""Functions whose jobs run in several processes under one parent."""

import asyncio
import os
import time
from typing import Any


async def pid(context: Any) -> int:
    """Return the process that runs the job."""
    return os.getpid()


async def pid_of_item(item: Any, context: Any) -> int:
    """Return the process that runs the job, after a moment."""
    await asyncio.sleep(item)

    return os.getpid()


async def hang_once(item: Any, context: Any) -> int:
    """Wait to be killed in the first attempt, and return the process in the second."""
    from oban import current_job

    job = current_job()

    if job is not None and job.attempt == 1:
        await asyncio.sleep(3600)

    return os.getpid()


def busy(item: Any, context: Any) -> int:
    """Use a core for some milliseconds."""
    end = time.process_time() + item

    while time.process_time() < end:
        pass

    return os.getpid()
