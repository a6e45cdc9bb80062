"""Measure how fast the page of a workflow of 10,000 jobs loads, and how it slows down its node.

``make bench-page`` prints figures as JSON. To measure another revision, put the ``src`` of that
revision into PYTHONPATH. Needs chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

from playwright.async_api import async_playwright
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from oban_pro.embedded import server_dsn

from . import node
from .workers import Noop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser, Page

JOBS = 10_000
LOADS = 7
TABS = (0, 1, 0, 10, 0)
PHASE = 8.0
"""Seconds for which a number of tabs is open."""

# The time at which the graph and the first row of the table exist, in milliseconds after the start.
NOTE_READY = """
  new MutationObserver((_, observer) => {
    if (!document.querySelector("#graph g[data-id]") || !document.querySelector("#table tbody tr")) return;
    globalThis.ready = performance.now();
    observer.disconnect();
  }).observe(document, { subtree: true, childList: true });
"""  # noqa: E501
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@contextmanager
def serve(dsn: str) -> Iterator[str]:
    """Serve the dashboard, and yield its address."""
    command = [sys.executable, "-m", "oban_pro", "web", "--port", "0", "--dsn", dsn]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout

    try:
        yield server.stdout.readline().split()[-1].rstrip("/")
    finally:
        server.terminate()
        server.wait(20)


def build(jobs: int) -> Workflow:
    """Build a fan-out between two jobs."""
    return (
        Workflow()
        .add("first", Noop.new({}))
        .add_many("each", [Noop.new({}) for _ in range(jobs)], deps="first")
        .add("last", Noop.new({}), deps="each")
    )


@asynccontextmanager
async def inserted(pool: AsyncConnectionPool, workflow: Workflow) -> AsyncIterator[None]:
    """Insert a workflow; what is left of it in the end is cancelled."""
    from oban import Oban

    async with Oban(pool=pool, queues={}) as oban:
        await oban.enqueue_many(workflow)
        yield
        await workflow.cancel_jobs()


async def load(browser: Browser, address: str) -> dict[str, float]:
    """Open the page in a browser with an empty cache, and return the figures of the load."""
    context = await browser.new_context(viewport={"width": 1400, "height": 900})
    page = await context.new_page()
    await page.add_init_script(NOTE_READY)
    moved = await count_bytes(page)
    session = await context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    await page.goto(address)
    await page.wait_for_function("() => globalThis.ready > 0")
    counters = await session.send("Performance.getMetrics")
    busy = {one["name"]: one["value"] for one in counters["metrics"]}["TaskDuration"]
    await session.send("HeapProfiler.collectGarbage")
    heap = await page.evaluate("performance.memory.usedJSHeapSize")
    await page.wait_for_function(f"() => {PAINTED} > 0")
    figures = {
        "first paint ms": await page.evaluate(PAINTED),
        "interactive ms": await page.evaluate("globalThis.ready"),
        # processor time, which other programs on the machine do not change
        "busy ms": busy * 1000,
        "heap MB": heap / 1e6,
        "requests": moved["requests"],
        "kB": moved["bytes"] / 1000,
    }
    await context.close()

    return figures


async def count_bytes(page: Page) -> dict[str, float]:
    """Count the requests of the page from now on, and the bytes that it receives."""
    moved = {"requests": 0.0, "bytes": 0.0, "views": 0.0}
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    session.on(
        "Network.loadingFinished", lambda one: _add(moved, "bytes", one["encodedDataLength"])
    )
    session.on("Network.requestWillBeSent", lambda one: _note(moved, one["request"]["url"]))

    return moved


def _note(moved: dict[str, float], url: str) -> None:
    moved["requests"] += 1
    moved["views"] += "/view.json" in url


def _add(moved: dict[str, float], name: str, number: float) -> None:
    moved[name] += number


async def run(
    pool: AsyncConnectionPool, browser: Browser, address: str, jobs: int
) -> dict[str, Any]:
    """Run workflows while several numbers of tabs show them, and return the rates."""
    rates: dict[int, list[float]] = {}
    per_view: dict[str, float] = {}

    for tabs in TABS:
        async with AsyncExitStack() as stack:
            # A new one each time: one for all would be over before the last tabs on a fast machine.
            workflow = build(jobs)
            await stack.enter_async_context(inserted(pool, workflow))
            pages = []

            for _ in range(tabs):
                context = await browser.new_context(viewport={"width": 1400, "height": 900})
                stack.push_async_callback(context.close)
                pages.append(await context.new_page())
                await pages[-1].goto(f"{address}/workflows/{workflow.id}")

            await asyncio.sleep(2)
            moved = await count_bytes(pages[0]) if pages else None
            before, begun = await completed(pool), time.monotonic()
            await asyncio.sleep(PHASE)
            done, took = await completed(pool) - before, time.monotonic() - begun

            if await is_over(pool):
                raise SystemExit(f"all jobs were done before {PHASE:g} s were over: see --jobs")

            rates.setdefault(tabs, []).append(round(done / took))

            if moved:
                views = max(1, moved["views"])
                per_view = {
                    "requests a refresh": round(moved["requests"] / views, 2),
                    "kB a refresh": round(moved["bytes"] / views / 1000, 2),
                    "refreshes a second": round(views / took, 2),
                } | per_view

    return {"jobs a second by tabs": rates, **per_view}


async def completed(pool: AsyncConnectionPool) -> int:
    """Count the jobs that have been completed."""
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT count(*) FROM oban_jobs WHERE state = 'completed'")
        row = await cursor.fetchone()

    return int(row[0]) if row else 0


async def is_over(pool: AsyncConnectionPool) -> bool:
    """Tell whether nothing is left to run."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT NOT EXISTS (SELECT FROM oban_jobs WHERE state = 'available')"
        )
        row = await cursor.fetchone()

    return bool(row and row[0])


def read_arguments() -> argparse.Namespace:
    """Read what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument(
        "--loads", type=int, default=LOADS, help="how often the page is loaded (%(default)s)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=10 * JOBS,
        help="jobs of each workflow that is looked at while it runs (%(default)s); 0 for none",
    )

    return parser.parse_args()


async def main() -> None:
    """Measure and print the figures."""
    asked = read_arguments()

    async with AsyncExitStack() as stack:
        dsn = stack.enter_context(server_dsn())
        pool = AsyncConnectionPool(dsn, min_size=1, max_size=4, open=False)
        await stack.enter_async_context(pool)
        await schema.install(pool)
        address = stack.enter_context(serve(dsn))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--enable-precise-memory-info"],
        )
        workflow = build(JOBS)

        async with inserted(pool, workflow):
            path = f"{address}/workflows/{workflow.id}"
            loads = [await load(browser, path) for _ in range(asked.loads)]

        figures: dict[str, Any] = {
            name: round(median(one[name] for one in loads), 1) for name in loads[0]
        }

        if asked.jobs:
            with node.start(1, dsn, 20):
                figures |= await run(pool, browser, address, asked.jobs)

        await browser.close()

    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
