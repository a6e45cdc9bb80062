"""Make the pictures of the dashboard: a workflow that runs, looked at in Chromium.

Run ``uv run --extra embedded --extra web python -m docs.screenshots``.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from oban import Oban, Record, Worker, worker
from playwright.async_api import async_playwright
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from oban_pro.embedded import server_dsn
from oban_pro.web import create_app

if TYPE_CHECKING:
    from oban import Job
    from playwright.async_api import Browser

PORT = 4610
TOKEN = "only for pictures"
IMAGES = Path(__file__).parent / "images"


@worker()
class Work(Worker):
    """Take the time that ``args["seconds"]`` says, and fail at ``args["fail"]``."""

    async def process(self, job: Job) -> Any:
        """Sleep, then fail or record something."""
        await asyncio.sleep(job.args.get("seconds", 0.2))

        if job.args.get("fail"):
            raise ConnectionError("warehouse closed the connection")

        return Record({"pages": 42, "file": "reports/november.pdf"})

    def backoff(self, job: Job) -> int:
        """Wait one second for the next attempt."""
        return 1


def work(seconds: float = 0.2, **options: Any) -> Job:
    """Make a job that takes so long."""
    return Work.new({"seconds": seconds}, **options)


def build_pipeline() -> Workflow:
    """Build one that shows all there is to see."""
    report = (
        Workflow(name="report", ignore_discarded=True)
        .add("charts", work(1.2))
        .add("pdf", work(0.6), deps="charts")
        .add("email", work(120), deps="pdf")
    )
    return (
        Workflow(name="nightly import")
        .add("extract orders", work(0.9))
        .add("extract users", work(0.4))
        .add("transform", work(0.5), deps=["extract orders", "extract users"])
        .add_many("score", [work(0.02 + n % 7 / 50) for n in range(240)], deps="transform")
        .add("warehouse", Work.new({"fail": True}, max_attempts=2), deps="transform")
        .add("dashboards", work(), deps="warehouse")
        .add_workflow("report", report, deps=["score"])
        .add("clean up", work(), deps="report")
    )


async def fill(oban: Oban) -> Workflow:
    """Insert workflows in several states, and wait until the last is in the middle of its work."""
    for name in ("invoices", "search index", "thumbnails"):
        jobs = [work(0.01) for _ in range(12)]
        await oban.enqueue_many(Workflow(name=name).add_many("each", jobs))

    stopped = Workflow(name="export").add("a", work(60)).add("b", work(), deps="a")
    await oban.enqueue_many(stopped)
    await stopped.cancel_jobs()
    await oban.enqueue_many(
        Workflow(name="sync partners").add("pull", Work.new({"fail": True}, max_attempts=1))
    )
    workflow = build_pipeline()
    await oban.enqueue_many(workflow)

    while (await workflow.status()).counts["completed"] < 245:  # noqa: ASYNC110
        await asyncio.sleep(0.2)

    await asyncio.sleep(2)

    return workflow


async def take(browser: Browser, workflow: Workflow) -> None:
    """Take the pictures."""
    address = f"http://127.0.0.1:{PORT}"
    shots = [
        ("light", "light", 1280, 860, f"/workflows/{workflow.id}", "pdf"),
        ("dark", "dark", 1280, 860, f"/workflows/{workflow.id}", None),
        ("list", "light", 1280, 520, "/", None),
        ("phone", "dark", 390, 844, f"/workflows/{workflow.id}", None),
    ]

    for name, scheme, width, height, path, selected in shots:
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page = await context.new_page()
        await page.goto(f"{address}/unlock?token={TOKEN}")
        await page.goto(address + path)

        if path != "/":
            await page.locator("#graph svg").wait_for()

        if selected:
            await page.locator(f'#graph g.vertex[aria-label^="{selected},"]').click()
            await page.locator("#panel dl").wait_for()

        await page.mouse.move(0, 0)
        await page.screenshot(path=IMAGES / f"dashboard-{name}.png", animations="disabled")
        await context.close()


async def main() -> None:
    """Make all pictures anew."""
    with server_dsn() as dsn:
        async with AsyncConnectionPool(dsn, min_size=2, max_size=10, open=False) as pool:
            await schema.install(pool)
            app = create_app(pool, allow_operations=True, token=TOKEN)
            server = uvicorn.Server(uvicorn.Config(app, port=PORT, log_level="warning"))
            serving = asyncio.create_task(server.serve())

            node = Oban(
                pool=pool,
                node="worker-1",
                queues={"default": 8},
                stager={"interval": 0.1},
                shutdown_grace_period=0,
            )

            async with node as oban, async_playwright() as playwright:
                workflow = await fill(oban)
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                await take(browser, workflow)
                await browser.close()

            server.should_exit = True
            await serving


if __name__ == "__main__":
    # Jobs name their worker by the module it is in, which has no name of its own when it is run.
    from docs import screenshots

    IMAGES.mkdir(exist_ok=True)
    asyncio.run(screenshots.main())
