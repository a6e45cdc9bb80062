"""A dense graph, in the trace that the browser itself writes."""

import asyncio
from typing import Any

from oban import Oban
from playwright.async_api import Page, expect

from oban_pro import Workflow
from tests.support.graphs import work

LONG = 50_000
"""Microseconds: a task that takes longer is a long one."""

TRACED = "toplevel,devtools.timeline,disabled-by-default-devtools.timeline"


async def longest_task(page: Page, address: str, members: int) -> int:
    """Open a page, and return for how long it kept its thread busy at a stretch, in microseconds.

    That is time of the processor, so other programs do not count.
    """
    session = await page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    complete = asyncio.Event()
    session.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    session.on("Tracing.tracingComplete", lambda _: complete.set())
    await session.send("Tracing.start", {"categories": TRACED})
    await page.goto(address)
    await expect(page.locator("#graph g.vertex")).to_have_count(members)
    await expect(page.locator("#table tbody tr").first).to_be_visible()
    await session.send("Tracing.end")
    await complete.wait()
    # Chromium runs pages of its own in other processes. One of these pages is busy at the start.
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "CommitLoad" and event["args"]["data"]["url"].startswith(address)
    }
    tasks: list[int] = [
        event["tdur"]
        for event in events
        if event["name"] == "RunTask"
        and "tdur" in event
        and (event["pid"], event["tid"]) in threads
    ]
    assert tasks

    return max(tasks)


async def test_has_no_long_task(oban: Oban, page: Page, dashboard: str) -> None:
    workflow = Workflow()
    layers = [[f"{layer} {number}" for number in range(40)] for layer in "abc"]

    for before, names in zip([[], *layers], layers, strict=False):
        for name in names:
            workflow.add(name, work(), deps=before)

    await oban.enqueue_many(workflow)
    address = f"{dashboard}/workflows/{workflow.id}"
    # the best of five, as other programs share the caches of the processor
    taken = [await longest_task(page, address, 120) for _ in range(5)]
    assert min(taken) < LONG, taken
