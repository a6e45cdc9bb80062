"""Make the pictures of the dashboard: run many kinds of workflows, and open pages in Chromium.

``make screenshots`` runs this. Look at each picture before you commit it.
"""

from __future__ import annotations

import asyncio
import linecache
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
NIGHTS = 24
SHOWN = "/srv/shop/jobs.py"


@worker()
class Work(Worker):
    """A job that takes ``args["seconds"]``, and fails if ``args["fail"]`` gives a reason."""

    async def process(self, job: Job) -> Any:
        """Sleep, then fail or return a result."""
        await asyncio.sleep(job.args.get("seconds", 0.2))

        if job.args.get("fail"):
            connect(job.args["fail"])

        return Record({"pages": 42, "file": "reports/november.pdf", "by": {"north": 17.5}})

    def backoff(self, job: Job) -> int:
        """Wait one second for the next attempt."""
        return 1


def connect(reason: str) -> None:
    """Fail in a separate function, so that the traceback has several frames."""
    raise ConnectionError(reason)


def work(seconds: float = 0.2, **options: Any) -> Job:
    """Make a job that takes this many seconds."""
    return Work.new({"seconds": seconds}, **options)


def failing(reason: str) -> Job:
    """Make a job that fails in its only attempt."""
    return Work.new({"seconds": 0, "fail": reason, "region": "north"}, max_attempts=1)


def build_pipeline() -> Workflow:
    """Build a workflow that shows every feature of the page."""
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
        .add("warehouse", failing("warehouse closed the connection"), deps="transform")
        .add("dashboards", work(), deps="warehouse")
        .add_workflow("report", report, deps=["score"])
        .add("clean up", work(), deps="report")
    )


def build_night(number: int) -> Workflow:
    """Build one of many runs with the same name. Each takes a little longer, and some fail."""
    load = failing("disk full") if number % 9 == 4 else work(0.01 + number * 0.02)

    return (
        Workflow(id=f"night-{number}", name="nightly totals")
        .add("extract", work(0.05 + number % 4 * 0.05))
        .add("load", load, deps="extract")
        .add("publish", work(0.05), deps="load")
    )


def build_rows() -> Workflow:
    """Build a fan-out with failures of three kinds."""
    reasons = {
        3: "bad date: '2026-02-30'", 5: "connection reset by peer", 11: "no such column: price",
    }  # fmt: skip
    rows = {
        f"{n}": failing(next(reasons[step] for step in reasons if n % step == 1))
        if any(n % step == 1 for step in reasons)
        else work(0.01)
        for n in range(50)
    }

    return Workflow(name="import rows").add("fetch", work(0.1)).add_many("rows", rows, deps="fetch")


async def fill(oban: Oban) -> dict[str, str]:
    """Insert workflows in several states, and return the path of the page for each picture."""
    for number in range(NIGHTS):
        night = build_night(number)
        await oban.enqueue_many(night)
        await night.wait()

    for name, deadline in (("order 4711", 7200), ("order 4712", 93_000)):
        order = Workflow(name=name).add_signal(
            "approval", wait_for=deadline, choices=["approve", "reject"]
        )
        await oban.enqueue_many(order.add("ship", work(), deps="approval"))

    await oban.enqueue_many(Workflow(name="train model").add("train", work(queue="gpu")))
    stopped = Workflow(name="export").add("a", work(60)).add("b", work(), deps="a")
    await oban.enqueue_many(stopped)
    await stopped.cancel_jobs()
    rows = build_rows()
    await oban.enqueue_many(rows)
    await rows.wait()
    workflow = build_pipeline()
    await oban.enqueue_many(workflow)

    while (await workflow.status()).counts["completed"] < 245:  # noqa: ASYNC110
        await asyncio.sleep(0.2)

    await asyncio.sleep(2)
    etl = f"/workflows/{workflow.id}"

    return {
        "list": "/",
        "light": etl,
        "dark": etl,
        "phone": etl,
        "failures": f"/workflows/{rows.id}",
        "history": "/history?name=nightly+totals",
        "comparison": f"/workflows/night-{NIGHTS - 1}/compare?with=night-{NIGHTS - 3}",
        "waits": "/waits",
        "queues": "/queues",
    }


# Sizes of the pictures that are not 1280 x 860; then the selected job and the opened group.
SIZES = {
    "phone": (390, 844),
    "list": (1280, 760),
    "waits": (1280, 420),
    "queues": (1280, 620),
    "history": (1280, 560),
    "comparison": (1280, 330),
}
SELECTED = {"light": "pdf", "failures": "1"}
OPENED = {"failures": "rows"}


async def take(browser: Browser, paths: dict[str, str]) -> None:
    """Take the pictures."""
    address = f"http://127.0.0.1:{PORT}"

    for name, path in paths.items():
        width, height = SIZES.get(name, (1280, 860))
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if name in ("dark", "phone") else "light",
        )
        page = await context.new_page()
        await page.goto(f"{address}/unlock?token={TOKEN}")
        await page.goto(address + path)

        if name in ("light", "dark", "phone", "failures"):
            await page.locator("#graph g.vertex").first.wait_for()

        if name in OPENED:
            await page.get_by_role("button", name=f"Open {OPENED[name]}").click()

        if name in SELECTED:
            await page.locator(f'#graph g.vertex[aria-label^="{SELECTED[name]},"]').click()
            await page.locator("#panel dl").wait_for()

        await page.mouse.move(0, 0)
        await page.wait_for_timeout(1500)
        await page.screenshot(path=IMAGES / f"dashboard-{name}.png", animations="disabled")
        await context.close()


def hide_path() -> None:
    """Let tracebacks name a file that is on nobody's machine."""
    lines = Path(__file__).read_text("utf-8").splitlines(keepends=True)
    linecache.cache[SHOWN] = (0, None, lines, SHOWN)

    for function in (connect, Work.process):
        function.__code__ = function.__code__.replace(co_filename=SHOWN)


async def main() -> None:
    """Make all pictures anew."""
    hide_path()

    with server_dsn() as dsn:
        async with AsyncConnectionPool(dsn, min_size=2, max_size=10, open=False) as pool:
            await schema.install(pool)
            app = create_app(pool, allow_operations=True, token=TOKEN)
            server = uvicorn.Server(uvicorn.Config(app, port=PORT, log_level="warning"))
            serving = asyncio.create_task(server.serve())

            node = Oban(
                pool=pool,
                node="worker-1",
                queues={"default": 8, "mail": 2},
                stager={"interval": 0.1},
                shutdown_grace_period=0,
            )

            async with node as oban, async_playwright() as playwright:
                paths = await fill(oban)
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                await take(browser, paths)
                await browser.close()

            server.should_exit = True
            await serving


if __name__ == "__main__":
    # Jobs name their worker by its module, which is called __main__ when it is run.
    from docs import screenshots

    IMAGES.mkdir(exist_ok=True)
    asyncio.run(screenshots.main())
