"""What people do with the dashboard."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
from oban import Job, Oban, Worker, worker
from playwright.async_api import Dialog, Page, Response, expect
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro._plugin.fire_schedules import look
from oban_pro.demo.flow import build_workflow
from tests.browser.conftest import TOKEN
from tests.browser.test_access import NIGHTLY
from tests.support.cli import start_cli
from tests.support.fixtures import StartOban
from tests.support.flows import keep_item, nothing
from tests.support.graphs import Work, diamond, settled, work
from tests.support.sites import add_distribution, recorded_hash

SCRIPT = "<script>alert(1)</script>"
LONG = 60_000
"""Milliseconds to wait at most for what takes worker processes."""

# What markup that got into a page would try.
INTRUDE = """() => {
  for (const attempt of [{ textContent: "ran = true" }, { src: "data:,ran = true" }]) {
    document.body.append(Object.assign(document.createElement("script"), attempt));
  }
  document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='ran = true'>");
}"""

# Where the focus is: the part of the page, and the name that is there.
FOCUSED = """() => {
  const part = document.activeElement.closest("#graph, #timeline, #table")?.id;
  const name = document.activeElement.querySelector("text:not(.icon), td")?.textContent;
  return `${part} ${name}`;
}"""

# How light the page is, and how far the colours of its text are from those behind it.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) =>
      part / 255 <= 0.04045 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const style = (selector) => getComputedStyle(document.querySelector(selector));
  const between = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const body = style("body");
  const card = style(".views > section").backgroundColor;
  return [
    light(body.backgroundColor),
    between(body.color, body.backgroundColor),
    between(style("footer").color, body.backgroundColor),
    ...["h2", ".key", "#table th", "#table td", "#jobs-filter input"].map(
      (selector) => between(style(selector).color, card)),
    ...[".vertex text", ".vertex .detail", ".span .name", ".tick text"].map(
      (selector) => between(style(selector).fill, card)),
  ];
}"""

# Texts of the graph, in the order in which the page shows them.
NOTE_LABELS = """() => {
  const labels = () => document.querySelectorAll("#graph g.vertex").forEach(
    (vertex) => seen.add(vertex.getAttribute("aria-label")));
  globalThis.seen = new Set();
  labels();
  new MutationObserver(labels).observe(
    document.querySelector("#graph"), { subtree: true, childList: true, attributes: true });
}"""

# How long the page was busy at a stretch, in milliseconds.
NOTE_LONG_TASKS = """
  globalThis.longTasks = [];
  const note = (list) => longTasks.push(...list.getEntries().map((task) => task.duration));
  new PerformanceObserver(note).observe({ type: "longtask", buffered: true });
"""

# What a browser says of a page that is behind another one.
HIDE = """(yes) => {
  Object.defineProperty(document, "hidden", { get: () => yes, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

# What was fetched: its address, and bytes on the line, in the answer, and unpacked.
SIZES = """performance.getEntriesByType("resource").map(
  (one) => [one.name, one.transferSize, one.encodedBodySize, one.decodedBodySize])"""

# Whether a part of the page has been scrolled to what is selected in it.
SHOWS_SELECTED = """(part) => {
  const outer = document.querySelector(part).getBoundingClientRect();
  const selected = document.querySelector(`${part} .selected > :is(.face, .row)`);
  const inner = selected.getBoundingClientRect();
  return inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1
    && inner.right > outer.left && inner.left < outer.right;
}"""

# What the timeline draws, by name: whether that is on the critical path, and its bars.
SPANS = """(timeline) => Object.fromEntries(
  [...timeline.querySelectorAll("g.span")].map((span) => [
    span.getAttribute("aria-label").split(",")[0],
    {
      critical: span.classList.contains("critical"),
      bars: [...span.querySelectorAll("rect:not(.row, .failed)")].map(({ classList, x, width }) => [
        classList[0], x.baseVal.value, x.baseVal.value + width.baseVal.value,
      ]),
    },
  ]))"""

gate = asyncio.Event()


@worker()
class Gated(Worker):
    async def process(self, job: Job) -> None:
        await gate.wait()


@pytest.fixture(autouse=True)
def closed_gate() -> None:
    global gate  # noqa: PLW0603
    gate = asyncio.Event()


async def grow_late(context: Any) -> Workflow:
    await asyncio.sleep(0.5)

    return Workflow().add("leaf", work())


async def graft_nothing(context: Any) -> None:
    pass


def report(**options: Any) -> Workflow:
    """Build extract -> notify (email -> slack), score (0 to 19) -> load."""
    notify = Workflow().add("email", work()).add("slack", work(), deps="email")
    return (
        Workflow(name="nightly report", **options)
        .add("extract", Gated.new({}))
        .add_workflow("notify", notify, deps="extract")
        .add_cascade("score", (list(range(20)), keep_item), deps="extract")
        .add("load", work(), deps=["notify", "score"])
    )


def add_large_distributions(site: Path) -> Path:
    """Install 40, each one file that takes a while to hash: all hole, so it takes no space."""
    size = 50_000_000
    digest = recorded_hash(bytes(size))
    site.mkdir()

    for number in range(40):
        name = f"{number}.bin"
        (site / name).touch()
        os.truncate(site / name, size)
        add_distribution(site, f"dist{number}", {}, record=f"{name},{digest},{size}")

    return site


async def open_workflow(page: Page, dashboard: str, workflow: Workflow) -> None:
    await page.goto(f"{dashboard}/workflows/{workflow.id}")
    await expect(page.locator("#graph svg")).to_be_visible()


async def complete(pool: AsyncConnectionPool, seconds: float) -> None:
    """Complete all jobs, a second after they were inserted, and their groups after more."""
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE oban_jobs SET state = 'completed', attempt = 1, attempted_at = inserted_at,"
            " completed_at = inserted_at + interval '1 second'"
        )
        # what settles by hand is dated now
        await conn.execute(
            "UPDATE oban_workflow_groups SET started_at = inserted_at,"
            " stopped_at = inserted_at + %s * interval '1 second'",
            [seconds],
        )


def drawn(page: Page, name: str) -> Any:
    return page.locator(f'#graph g.vertex[aria-label^="{name}, "]')


def row(page: Page, name: str) -> Any:
    return page.locator("#table tbody tr").filter(
        has=page.get_by_role("gridcell", name=name, exact=True)
    )


class TestList:
    async def test_leads_to_a_workflow(self, oban: Oban, page: Page, dashboard: str) -> None:
        await oban.enqueue_many(diamond(name="first"))
        await oban.enqueue_many(diamond(name="second"))
        await page.goto(dashboard)
        await expect(page.locator("a.name")).to_have_text(["second", "first"])
        await page.get_by_role("link", name="first").click()
        await expect(page).to_have_title("executing · first")
        await expect(page.locator("#graph g.vertex")).to_have_count(4)

    async def test_searches_while_one_types_and_filters(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        stopped = diamond(name="import orders")
        await oban.enqueue_many(stopped)
        await oban.enqueue_many(diamond(name="report"))
        await stopped.cancel_jobs()
        await page.goto(dashboard)
        await page.get_by_role("searchbox").fill("ORD")
        await expect(page.locator("a.name")).to_have_text(["import orders"])
        await page.get_by_role("searchbox").fill("")
        await expect(page.locator("a.name")).to_have_count(2)
        await page.get_by_label("State").select_option("cancelled")
        await expect(page.locator("a.name")).to_have_text(["import orders"])
        await expect(page).to_have_url(f"{dashboard}/?state=cancelled")

    async def test_the_list_shows_a_new_workflow_without_a_reload(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        await page.goto(dashboard)
        await expect(page.get_by_text("No workflows yet")).to_be_visible()
        await oban.enqueue_many(diamond(name="newcomer"))
        await expect(page.locator("a.name")).to_have_text(["newcomer"], timeout=15_000)


class TestAttention:
    async def test_comes_first_and_leads_to_what_waits(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        oban = await start_oban()
        waiting = Workflow(name="order").add_signal("approval").add("send", work(), deps="approval")
        await oban.enqueue_many(waiting)
        await oban.enqueue_many(Workflow(name="training").add("train", work(queue="gpu")))
        failing = Workflow(name="import").add("bad", work("fail", max_attempts=1))
        await oban.enqueue_many(failing.add("goes on", Gated.new({})))
        good = Workflow(name="good").add("works", work())
        await oban.enqueue_many(good)
        await wait_until(lambda: settled(good))
        await page.goto(dashboard)
        rows = page.locator(".workflows tbody tr")
        await expect(page.locator("a.name").last).to_have_text("good")
        await expect(rows.filter(has_text="order")).to_contain_text("waits for a signal")
        await expect(rows.filter(has_text="training")).to_contain_text(
            "no node takes jobs from gpu"
        )
        await expect(rows.filter(has_text="import")).to_contain_text("failed, and still runs")
        await expect(page).to_have_title("(3) Workflows")
        await page.get_by_role("link", name="1 wait for signals").click()
        await expect(page).to_have_title("(1) Waits")
        await page.get_by_role("link", name="approval").click()
        await expect(page.locator("#panel .summary")).to_contain_text("waits for a signal since")


class TestLive:
    async def test_follows_the_demo_from_start_to_end(
        self, oban: Oban, page: Page, dashboard: str, dsn: str, tmp_path: Path
    ) -> None:
        site, output = add_large_distributions(tmp_path / "site"), tmp_path / "output"
        # The demo goes on with what is enqueued, so that the page is there before it runs.
        workflow = build_workflow("live", "demo-live", [str(site)], str(output))
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(page).to_have_title("executing · audit")
        await expect(drawn(page, "inventory")).to_contain_class("state-available")
        await expect(drawn(page, "report")).to_contain_class("state-suspended")
        # A reload would forget what was seen.
        await page.evaluate(NOTE_LABELS)

        options = ("--id", "live", "--path", str(site), "--output", str(output))
        demo = start_cli("demo", *options, cwd=tmp_path, dsn=dsn)
        try:
            await expect(page).to_have_title("completed · audit", timeout=LONG)
            assert await asyncio.to_thread(demo.wait, LONG / 1000) == 0
        finally:
            demo.kill()
            demo.communicate()

        await expect(page.locator("#summary")).to_contain_text("45 of 45 jobs")
        await expect(page.locator("#graph g.vertex:not(.state-completed)")).to_have_count(0)
        counted = [
            label for label in await page.evaluate("[...seen]") if label.startswith("check, ")
        ]
        assert counted[0] == "check, graft, 0 of 1"
        assert counted[-1] == "check, graft, 41 of 41"
        assert len(counted) > 3

    async def test_follows_a_running_workflow(
        self, start_oban: StartOban, page: Page, dashboard: str
    ) -> None:
        workflow = report()
        oban = await start_oban()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(drawn(page, "extract")).to_contain_class("state-executing")
        await expect(drawn(page, "load")).to_contain_class("state-suspended")
        await expect(page.locator("#live")).to_have_text("live")
        gate.set()
        await expect(drawn(page, "load")).to_contain_class("state-completed", timeout=15_000)
        await expect(drawn(page, "slack")).to_contain_class("state-completed")
        await expect(page).to_have_title("completed · nightly report")
        await expect(page.locator("#summary")).to_contain_text("24 of 24 jobs")

    async def test_polls_where_events_do_not_come_through(
        self, start_oban: StartOban, browser: Any, dashboard: str
    ) -> None:
        page = await browser.new_page()
        await page.route("**/events?*", lambda route: route.abort())
        workflow = report()
        await (await start_oban()).enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(page.locator("#live")).to_have_text("polling")
        gate.set()
        await expect(page).to_have_title("completed · nightly report", timeout=20_000)

    async def test_opens_more_windows_than_a_browser_opens_connections(
        self, oban: Oban, browser: Any, page: Page, dashboard: str
    ) -> None:
        workflow = diamond(name="watched")
        await oban.enqueue_many(workflow)
        pages = [page, *[await browser.new_page() for _ in range(7)]]

        for one in pages:
            await open_workflow(one, dashboard, workflow)

        texts = [await one.locator("#live").text_content() for one in pages]
        assert texts.count("live") == 1
        await workflow.cancel_jobs()

        for one in pages:
            await expect(one).to_have_title("cancelled · watched", timeout=15_000)

        # another window listens when the one that did is closed
        await pages.pop(texts.index("live")).close()
        await pages[0].wait_for_function(
            "() => navigator.locks.query().then(({ held }) => held.length === 1)"
        )

    async def test_says_so_without_a_connection_and_goes_on_with_it(
        self, oban: Oban, browser: Any, dashboard: str
    ) -> None:
        page = await browser.new_page()
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await page.route("**/view.json*", lambda route: route.abort())
        await expect(page.locator("#live")).to_have_text(
            re.compile("^no connection, retrying"), timeout=15_000
        )
        await expect(drawn(page, "end")).to_be_visible()
        await page.unroute("**/view.json*")
        await expect(page.locator("#live")).to_have_text("live", timeout=15_000)

    async def test_leaves_what_is_drawn_of_a_fan_out_where_it_is(
        self, start_oban: StartOban, page: Page, dashboard: str
    ) -> None:
        jobs = {f"{n}": Gated.new({}) if n > 390 else work() for n in range(400)}
        workflow = Workflow().add_many("many", jobs | {"fails": work("fail", max_attempts=1)})
        await (await start_oban({"default": 20})).enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(page.locator("#legend")).to_contain_text("1 discarded", timeout=LONG)
        await page.get_by_role("button", name="Open many").click()
        await expect(page.locator("#graph g.vertex.state-discarded")).to_be_attached()
        names = page.locator("#graph g.vertex.box g.vertex > text:first-of-type")
        before = await names.all_text_contents()
        # what failed comes first, then what runs, then the others in order
        assert before[0] == "fails"
        assert before[1:3] == ["391", "392"]
        assert before[10:12] == ["0", "1"]
        toggle = page.get_by_role("button", name="Fold many")
        await expect(toggle).to_be_focused()
        gate.set()
        await expect(page).to_have_title(re.compile("^discarded|^completed"), timeout=LONG)
        assert await names.all_text_contents() == before
        await expect(toggle).to_be_focused()

    @pytest.mark.parametrize("path", ["", "workflows/watched"])
    async def test_asks_for_nothing_while_nobody_sees_the_page(
        self, path: str, oban: Oban, browser: Any, dashboard: str
    ) -> None:
        page = await browser.new_page()
        # no stream: this page would poll
        await page.route("**/events?*", lambda route: route.abort())
        await oban.enqueue_many(diamond(id="watched"))
        await page.clock.install()
        await page.goto(f"{dashboard}/{path}")
        await expect(page.locator("#live")).to_have_text("polling")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(re.sub(r"\?.*", "", request.url)))
        await page.evaluate(HIDE, True)
        await page.clock.run_for(30_000)
        # that there is no stream is told later, and scripts for later come later
        assert [url for url in asked if "/events" not in url and "/static/" not in url] == []

        async with page.expect_request("**/*"):
            await page.evaluate(HIDE, False)

    async def test_stays_where_it_was_scrolled_to_when_a_row_is_clicked(
        self, oban: Oban, pool: AsyncConnectionPool, page: Page, dashboard: str
    ) -> None:
        workflow = Workflow().add_many("many", [work() for _ in range(100)])
        jobs = await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        table = page.locator("#table")
        clicked = table.locator("tbody tr").nth(50)
        await clicked.scroll_into_view_if_needed()
        await clicked.click()
        await expect(clicked).to_contain_class("selected")
        await expect(page.locator("#panel h2")).to_be_visible()
        before = await table.evaluate("(table) => table.scrollTop")
        assert before > 0

        for job in jobs[:3]:
            async with pool.connection() as conn:
                await conn.execute(
                    "UPDATE oban_jobs SET state = 'completed', attempt = 1,"
                    " attempted_at = inserted_at, completed_at = timezone('UTC', now())"
                    " WHERE id = %s",
                    [job.id],
                )

            await expect(table.locator(f"#row-{job.id}")).to_contain_text("completed")
            assert await table.evaluate("(table) => table.scrollTop") == before

    async def test_leaves_the_focus_where_it_is(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)

        for place in (row(page, "left"), page.locator("#timeline g.span", has_text="left")):
            await place.focus()
            await workflow.cancel_jobs()
            await expect(row(page, "left")).to_contain_text("cancelled", timeout=15_000)
            await workflow.retry_jobs()
            await expect(row(page, "left")).to_contain_text("suspended", timeout=15_000)
            await expect(place).to_be_focused()


class TestNetwork:
    async def test_asks_for_each_thing_once_and_then_for_what_has_changed(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = report()
        await oban.enqueue_many(workflow)
        answers: list[Response] = []
        page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108

        def paths(status: int) -> list[str]:
            return [
                re.sub(r".*/", "", answer.url.split("?")[0])
                for answer in answers
                if answer.status == status and "/workflows/" in answer.url
            ]

        await open_workflow(page, dashboard, workflow)
        await expect(page.locator("#live")).to_have_text("live")
        await expect(row(page, "load")).to_be_visible()
        async with page.expect_response(lambda answer: answer.status == 304):
            pass

        assert sorted(paths(200)) == sorted(
            [str(workflow.id), "view.json", "holds", "jobs", "events"]
        )
        assert {"view.json"} <= set(paths(304)) <= {"view.json", "jobs"}

    async def test_keeps_scripts_and_compresses_the_rest(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = report()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await page.goto(dashboard)
        await open_workflow(page, dashboard, workflow)
        await expect(row(page, "load")).to_be_visible()
        sizes = {name: taken for name, *taken in await page.evaluate(SIZES)}
        kept = [name for name, (moved, *_) in sizes.items() if "/static/" in name and not moved]
        assert len(kept) >= 8
        assert not [name for name in sizes if "/static/" in name and name not in kept]
        (view,) = (taken for name, taken in sizes.items() if "/view.json" in name)
        assert view[1] < view[2] / 2


class TestGraph:
    async def test_opens_and_folds_what_is_nested(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = report()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(drawn(page, "score")).to_contain_text("fan-out, 0 of 20")
        await expect(page.locator("#graph g.vertex")).to_have_count(6)
        await page.get_by_role("button", name="Open score").click()
        await expect(page.locator("#graph g.vertex")).to_have_count(26)
        await page.get_by_role("button", name="Fold notify").press("Enter")
        await expect(page.locator("#graph g.vertex")).to_have_count(24)
        await page.get_by_role("button", name="Fold score").click()
        await expect(page.locator("#graph g.vertex")).to_have_count(4)

    async def test_runs_from_left_to_right(self, oban: Oban, page: Page, dashboard: str) -> None:
        workflow = report()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        boxes = [await drawn(page, name).bounding_box() for name in ("extract", "score", "load")]
        starts = [box["x"] for box in boxes]
        assert starts == sorted(starts)
        notify, email = [await drawn(page, name).bounding_box() for name in ("notify", "email")]
        assert notify["x"] < email["x"]
        assert email["x"] + email["width"] < notify["x"] + notify["width"]

    async def test_shows_grafts_as_boxes(self, oban: Oban, page: Page, dashboard: str) -> None:
        workflow = (
            Workflow().add_graft("plan", graft_nothing).add_cascade("after", nothing, deps="plan")
        )
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(drawn(page, "plan")).to_contain_class("box")
        await expect(drawn(page, "grafter")).to_contain_class("state-available")


class TestMany:
    async def test_opens_ten_thousand_in_less_than_two_seconds(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = (
            Workflow()
            .add("first", work())
            .add_cascade("each", (list(range(10_000)), keep_item), deps="first")
            .add("last", work(), deps="each")
        )
        await oban.enqueue_many(workflow)
        taken = []

        for _ in range(3):
            await open_workflow(page, dashboard, workflow)
            taken.append(await page.evaluate("performance.now()"))
            await expect(drawn(page, "each")).to_contain_text("0 of 10,000")

        # the best of three, as other programs share the machine
        assert min(taken) < 2000
        await page.get_by_role("button", name="Open each").click()
        await expect(drawn(page, "9,850 more")).to_contain_text("0 of 9,850")

    async def test_lets_one_get_at_every_one_of_them(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = Workflow().add("first", work())
        workflow.add_cascade("each", (list(range(10_000)), keep_item), deps="first")
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        pages = page.get_by_role("navigation", name="Pages of jobs")
        await expect(pages).to_contain_text("1 to 100 of 10,001")
        # those of the group that is selected
        await drawn(page, "each").click()
        await expect(page.locator("#table-title")).to_have_text("Jobs in each")
        await expect(pages).to_contain_text("1 to 100 of 10,000")
        await pages.get_by_role("button", name="later").click()
        await expect(pages).to_contain_text("101 to 200 of 10,000")
        await expect(row(page, "each / 100")).to_be_visible()
        # by their name, and that selects it, though it is drawn in its group only
        await page.get_by_role("searchbox", name="Search jobs").fill("each / 9876")
        await expect(page.locator("#table tbody tr")).to_have_count(1)
        await row(page, "each / 9876").press("Enter")
        await expect(page.locator("#panel h2")).to_contain_text("each / 9876")
        await expect(drawn(page, "each")).to_contain_class("holds")
        # a job that is not drawn is drawn when it is looked at
        await page.get_by_role("button", name="Open each").click()
        await expect(drawn(page, "9876")).to_contain_class("selected")
        await page.wait_for_function(SHOWS_SELECTED, arg="#graph")
        await expect(drawn(page, "9,849 more")).to_be_visible()
        # it is still there after a reload, and so is what was opened and searched for
        await page.reload()
        await expect(row(page, "each / 9876")).to_contain_class("selected")
        await expect(drawn(page, "9876")).to_contain_class("selected")
        await expect(page.get_by_role("searchbox", name="Search jobs")).to_have_value("each / 9876")

    async def test_shows_the_next_and_those_before(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = Workflow()

        for number in range(400):
            # no chain, which would be one box
            deps = [f"n{other}" for other in (number - 2, number - 1) if other >= 0]
            workflow.add(f"n{number}", work(), deps=deps)

        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(drawn(page, "n149")).to_be_attached()
        await expect(drawn(page, "250 more")).to_be_attached()
        await page.get_by_role("button", name="Show some of 250 more").press("Enter")
        await expect(drawn(page, "n299")).to_be_attached()
        await expect(drawn(page, "n149")).to_have_count(0)
        await expect(drawn(page, "100 more")).to_be_attached()
        await page.get_by_role("button", name="Show some of 150 before").press("Enter")
        await expect(drawn(page, "n0")).to_be_attached()
        # the neighbours of a job lead on, however far it is
        await page.get_by_role("searchbox", name="Search jobs").fill("n350")
        await row(page, "n350").click()
        await page.locator("#panel").get_by_role("link", name="n351").click()
        await expect(drawn(page, "n351")).to_contain_class("selected")
        await expect(drawn(page, "n352")).to_be_attached()
        await page.wait_for_function(SHOWS_SELECTED, arg="#timeline")


class TestChains:
    async def test_are_one_box_that_can_be_opened(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = Workflow().add("first", work()).add("other", work(), deps="first")

        for number in range(40):
            workflow.add(f"n{number}", work(), deps=f"n{number - 1}" if number else "first")

        workflow.add("last", work(), deps=["n39", "other"])
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        chain = drawn(page, "n0 → n39")
        await expect(chain).to_contain_text("chain, 0 of 40")
        await expect(page.locator("#graph g.vertex")).to_have_count(4)
        await page.get_by_role("button", name="Open n0 → n39").click()
        await expect(page.locator("#graph g.vertex")).to_have_count(44)
        await expect(page.locator("#graph .edge")).to_have_count(4 + 39)
        await page.get_by_role("button", name="Fold n0 → n39").click()
        await expect(page.locator("#graph g.vertex")).to_have_count(4)
        # one that is looked at is seen
        await row(page, "n20").click()
        await expect(drawn(page, "n20")).to_contain_class("selected")
        await page.wait_for_function(SHOWS_SELECTED, arg="#graph")


class TestDense:
    async def test_is_placed_beside_the_page_and_drawn_through_joints(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = Workflow()
        layers = [[f"{layer} {number}" for number in range(40)] for layer in "abc"]

        for before, names in zip([[], *layers], layers, strict=False):
            for name in names:
                workflow.add(name, work(), deps=before)

        await oban.enqueue_many(workflow)
        await page.add_init_script(NOTE_LONG_TASKS)
        await open_workflow(page, dashboard, workflow)
        await expect(page.locator("#graph g.vertex")).to_have_count(120)
        await expect(page.locator("#graph .joint")).to_have_count(2)
        await expect(page.locator("#graph .edge")).to_have_count(160)
        # to place it took longer than any of them: with all edges 12 seconds
        assert max(await page.evaluate("longTasks"), default=0) < 2000

    async def test_leaves_out_edges_that_nobody_could_follow(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = Workflow()

        for number in range(60):
            deps = [f"{other}" for other in range(number) if (number * other) % 3]
            workflow.add(f"{number}", work(), deps=deps)

        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        assert 59 <= await page.locator("#graph .edge").count() <= 300
        await expect(page.locator("#hidden")).to_have_text(
            re.compile("^[0-9]+ edges are not drawn")
        )


class TestFailures:
    async def test_are_on_the_first_screen_by_their_error(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        failing = {f"{n}": work("fail", max_attempts=1) for n in range(7)}
        workflow = Workflow().add_many("rows", failing | {"good": work()})
        workflow.add("other", work("cancel")).add("last", work(), deps="rows")
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await open_workflow(page, dashboard, workflow)
        failures = page.locator("#failures li")
        await expect(failures).to_have_count(2)
        await expect(failures.first).to_contain_text(
            re.compile("RuntimeError: told to fail . 7, first rows / 0")
        )
        await expect(failures.first).to_be_in_viewport()
        await expect(failures.last).to_contain_text("told to cancel")
        await failures.first.get_by_role("button", name="rows / 0").click()
        await expect(page.locator("#panel h2")).to_contain_text("rows / 0")

    async def test_are_in_the_list_and_in_the_table_of_jobs(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        workflow = Workflow(name="import").add("good", work())
        workflow.add("bad", work("fail", max_attempts=1))
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await page.goto(dashboard)
        error = page.locator("#list a.why")
        await expect(error).to_have_text("bad: RuntimeError: told to fail")
        await error.click()
        await expect(row(page, "bad").locator(".why")).to_have_text("RuntimeError: told to fail")
        await expect(row(page, "good").locator(".why")).to_have_text("")
        await expect(page.locator("#panel .summary")).to_contain_text("told to fail")

    async def test_take_no_place_where_there_are_none(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(page.locator("#failures")).to_be_hidden()


class TestTimeline:
    async def test_has_a_bar_for_what_ran_and_marks_the_critical_path(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        gate.set()
        workflow = report()
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await open_workflow(page, dashboard, workflow)
        rows = page.locator("#timeline g.span")
        await expect(rows).to_have_count(6)
        await expect(rows.locator("rect.running")).to_have_count(6)
        await expect(page.locator("#timeline g.span.critical", has_text="extract")).to_be_visible()
        await expect(page.locator("#timeline g.span.critical", has_text="load")).to_be_visible()
        await expect(page.locator("#graph .edge.critical")).not_to_have_count(0)

    async def test_tells_waiting_queued_retries_and_running_apart(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        jobs = {"fails": work("fail", max_attempts=2), "works": work()}
        workflow = Workflow().add("first", work()).add_many("many", jobs, deps="first")
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await open_workflow(page, dashboard, workflow)

        def bars(name: str, kind: str) -> Any:
            span = page.locator(f'#timeline g.span[aria-label^="{name}, "]')
            return span.locator(f"rect.{kind}")

        for kind in ("waiting", "queued", "running", "retries"):
            await expect(page.locator(".key")).to_contain_text(kind)
            await expect(bars("many", kind)).to_have_count(1)

        await page.get_by_role("button", name="Open many").click()
        await expect(bars("fails", "retries")).to_have_count(1)
        await expect(bars("fails", "failed")).to_have_count(2)
        await expect(bars("works", "retries")).to_have_count(0)
        # A bar has no box on the page while the script replaces it.
        start = "(bar) => bar.x.baseVal.value"
        end = f"{start} + bar.width.baseVal.value"
        retried = await bars("fails", "retries").evaluate(end)
        assert retried <= await bars("fails", "running").evaluate(start)

    async def test_draws_a_graft_from_when_it_is_there_and_goes_through_what_grafted(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        workflow = Workflow().add_graft("grown", grow_late).add("last", work(), deps="grown")
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await open_workflow(page, dashboard, workflow)
        await expect(page.locator("#timeline g.span")).to_have_count(5)
        spans = await page.locator("#timeline").evaluate(SPANS)
        assert {name for name, span in spans.items() if span["critical"]} >= {"grafter", "last"}
        ((_, start, end),) = [bar for bar in spans["grafter"]["bars"] if bar[0] == "running"]
        # what is grafted is there when the grafter ends
        middle = (start + end) / 2

        for name in ("grafted", "leaf"):
            assert min(start for _, start, _ in spans[name]["bars"]) > middle

    async def test_draws_an_empty_group_until_its_release_and_goes_through_it(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        workflow = Workflow().add("first", work())
        workflow.add_cascade("none", ([], keep_item), deps="first").add("last", work(), deps="none")
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await open_workflow(page, dashboard, workflow)
        await expect(page.locator("#timeline g.span")).to_have_count(3)
        spans = await page.locator("#timeline").evaluate(SPANS)
        assert {name for name, span in spans.items() if span["critical"]} == {
            "first",
            "none",
            "last",
        }
        ((kind, _, end),) = spans["none"]["bars"]
        assert kind == "waiting"
        assert end == pytest.approx(max(end for *_, end in spans["first"]["bars"]), abs=1)

    async def test_ends_with_the_workflow_at_round_numbers(
        self, oban: Oban, pool: AsyncConnectionPool, page: Page, dashboard: str
    ) -> None:
        workflow = Workflow().add("first", work())
        workflow.add_cascade("each", (list(range(200)), keep_item), deps="first")
        await oban.enqueue_many(workflow)
        await complete(pool, 60)
        await open_workflow(page, dashboard, workflow)
        await page.get_by_role("button", name="Open each").click()
        await expect(drawn(page, "50 more")).to_be_visible()
        ticks = page.locator("#timeline .tick text").filter(has_not_text="from")
        await expect(ticks).to_have_text(["0", "10s", "20s", "30s", "40s", "50s", "1m"])


class TestTimes:
    async def test_of_a_snoozed_job_say_when_it_is_due_and_not_that_it_runs(
        self, start_oban: StartOban, page: Page, dashboard: str
    ) -> None:
        workflow = Workflow().add("snoozed", Work.new({"do": "snooze", "delay": 600}))
        await (await start_oban()).enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(drawn(page, "snoozed")).to_contain_class("state-scheduled", timeout=15_000)
        await row(page, "snoozed").click()
        await expect(page.locator("#panel dt")).to_contain_text(["Due", "Started"])
        await expect(page.locator("#panel dt", has_text=re.compile("^Ran$"))).to_have_count(0)
        await expect(row(page, "snoozed")).to_contain_text("due 20")
        await expect(row(page, "snoozed").locator(".number").first).to_have_text("")

    async def test_of_a_running_job_go_on_while_nothing_else_happens(
        self, start_oban: StartOban, page: Page, dashboard: str
    ) -> None:
        workflow = report()
        await (await start_oban()).enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(drawn(page, "extract")).to_contain_class("state-executing")
        await row(page, "extract").click()
        ran = page.locator("#panel time[data-since]")
        await expect(ran).to_have_text(re.compile(r"^[1-9]\d*\.\ds$"), timeout=15_000)
        before = await ran.text_content()
        await expect(ran).not_to_have_text(before or "")


class TestSelection:
    async def test_is_shared_by_graph_timeline_and_table(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = report()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await drawn(page, "load").click()
        await expect(row(page, "load")).to_contain_class("selected")
        await expect(page.locator("#timeline g.selected")).to_contain_text("load")
        await expect(page.locator("#panel h2")).to_contain_text("load")
        await expect(page.locator("#panel .summary")).to_contain_text("waits for its 2 dep")

        await row(page, "notify / email").click()
        await expect(drawn(page, "email")).to_contain_class("selected")
        await expect(page.locator("g.selected")).to_have_count(2)
        await expect(page.locator("#panel h2")).to_contain_text("email")

    async def test_follows_links_to_upstream_and_survives_a_reload(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await drawn(page, "end").click()
        await page.locator("#panel").get_by_role("link", name="left").click()
        await expect(drawn(page, "left")).to_contain_class("selected")
        await page.reload()
        await expect(page.locator("#panel h2")).to_contain_text("left")

    async def test_lists_the_jobs_in_a_state(self, oban: Oban, page: Page, dashboard: str) -> None:
        workflow = report()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await drawn(page, "notify").click()
        await expect(page.locator("#table tbody tr")).to_have_count(2)
        await page.get_by_role("button", name="1 available").click()
        await expect(page.locator("#table tbody tr")).to_have_count(1)
        await expect(row(page, "extract")).to_be_visible()
        await page.get_by_label("State of jobs").select_option("any state")
        await expect(page.locator("#table tbody tr")).to_have_count(24)

    async def test_is_found_by_the_path_that_the_panel_prints(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = report()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await page.get_by_role("searchbox", name="Search jobs").fill("notify/EM")
        await expect(page.locator("#table tbody tr")).to_have_count(1)
        await row(page, "notify / email").click()
        await expect(drawn(page, "email")).to_contain_class("selected")
        await page.get_by_role("button", name="Open score").click()
        await expect(page).to_have_url(re.compile(r"open=-\d+&q=notify%2FEM#\d+$"))
        await page.reload()
        await expect(page.locator("#table tbody tr")).to_have_count(1)
        await expect(page.get_by_role("button", name="Fold score")).to_be_visible()
        await expect(page.locator("#panel h2")).to_contain_text("email")

    async def test_goes_wherever_keys_do(self, oban: Oban, page: Page, dashboard: str) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(row(page, "end")).to_be_visible()

        for part in ("graph", "timeline", "table"):
            reached = set()
            await page.locator(f"#{part} [tabindex='0'][data-id]").focus()

            for _ in range(4):
                reached.add(await page.evaluate(FOCUSED))
                await page.keyboard.press("ArrowDown")

            assert reached == {f"{part} {name}" for name in ("start", "left", "right", "end")}

        await row(page, "left").press("Enter")
        await expect(drawn(page, "left")).to_contain_class("selected")
        await page.locator("#timeline g.span", has_text="right").press(" ")
        await expect(row(page, "right")).to_contain_class("selected")

    async def test_works_by_keyboard_alone(self, oban: Oban, page: Page, dashboard: str) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await drawn(page, "start").focus()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Enter")
        await expect(page.locator("#panel")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("#panel")).to_be_hidden()


class TestActing:
    async def test_is_not_offered_without_the_token(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await drawn(page, "start").click()
        await expect(page.locator("#panel h2")).to_contain_text("start")
        await expect(page.get_by_text("read-only")).to_be_visible()
        await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        await expect(page.get_by_role("button", name="Retry")).to_have_count(0)

    async def test_cancels_and_retries_all(
        self, oban: Oban, unlocked: Page, dashboard: str
    ) -> None:
        workflow = diamond(name="steered")
        await oban.enqueue_many(workflow)
        await open_workflow(unlocked, dashboard, workflow)
        await expect(unlocked.get_by_role("button", name="Retry all")).to_be_disabled()
        await unlocked.get_by_role("button", name="Cancel").click()
        await expect(unlocked.locator("#said")).to_have_text("Cancelled 4 jobs.")
        await expect(unlocked).to_have_title("cancelled · steered")
        await expect(unlocked.get_by_role("button", name="Cancel", exact=True)).to_be_disabled()
        await unlocked.get_by_role("button", name="Retry all").click()
        await expect(drawn(unlocked, "start")).to_contain_class("state-available")
        await expect(unlocked).to_have_title("executing · steered")

    async def test_retries_from_a_job_on(
        self, start_oban: StartOban, unlocked: Page, dashboard: str, wait_until: Any
    ) -> None:
        gate.set()
        workflow = Workflow().add("a", work()).add("b", Gated.new({}), deps="a")
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await open_workflow(unlocked, dashboard, workflow)
        gate.clear()
        await drawn(unlocked, "a").click()
        await unlocked.locator("#panel").get_by_role("button", name="Retry from here").click()
        await expect(unlocked.locator("#panel .said")).to_have_text("Retried 2 jobs.")
        await expect(drawn(unlocked, "b")).to_contain_class("state-executing", timeout=15_000)
        gate.set()
        await expect(drawn(unlocked, "b")).to_contain_class("state-completed", timeout=15_000)

    async def test_says_how_much_goes_with_a_job_and_what_was_done(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        asked: list[str] = []

        async def accept(dialog: Dialog) -> None:
            asked.append(dialog.message)
            await dialog.accept()

        page.on("dialog", accept)
        await page.goto(f"{dashboard}/unlock?token={TOKEN}")
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await drawn(page, "start").click()
        await page.locator("#panel").get_by_role("button", name="Cancel").click()
        await expect(page.locator("#panel h2")).to_contain_text("cancelled")
        await expect(page.locator("#said")).to_contain_text("Cancelled")
        assert "Up to 3 more that wait for it would be cancelled with it." in asked[0]


class TestSafety:
    async def test_shows_markup_in_names_as_text(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        image = "<img src=x onerror=alert(1)>"
        inner = Workflow().add(image, work(SCRIPT))
        workflow = Workflow(name=SCRIPT).add(SCRIPT, work(SCRIPT)).add_workflow(image, inner)
        await oban.enqueue_many(workflow)
        await page.goto(dashboard)
        await expect(page.locator("a.name")).to_have_text([SCRIPT])
        await open_workflow(page, dashboard, workflow)
        await expect(page.locator("h1")).to_contain_text(SCRIPT)
        await row(page, SCRIPT).click()
        await expect(page.locator("#panel .tree").first).to_contain_text(SCRIPT)
        await expect(page.locator("main img")).to_have_count(0)

    async def test_runs_no_script_but_its_own(self, browser: Any, dashboard: str) -> None:
        page = await browser.new_page()
        await page.goto(dashboard)

        await page.evaluate(INTRUDE)
        await expect(page.locator("body > img")).to_have_js_property("complete", True)
        assert await page.evaluate("typeof ran") == "undefined"


class TestLooks:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_can_be_read_in_light_and_dark(
        self, scheme: Any, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = report()
        await oban.enqueue_many(workflow)
        await page.emulate_media(color_scheme=scheme)
        await open_workflow(page, dashboard, workflow)
        await expect(row(page, "load")).to_be_visible()
        background, *contrasts = await page.evaluate(CONTRASTS)
        assert (background > 0.5) == (scheme == "light")
        # what WCAG asks for small text
        assert min(contrasts) > 4.5

    async def test_pages_are_no_wider_than_a_phone(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = report(id="an-id-that-is-" + 40 * "long")
        await oban.enqueue_many(workflow)
        await page.set_viewport_size({"width": 360, "height": 740})

        for path in ("/", f"/workflows/{workflow.id}"):
            await page.goto(dashboard + path)
            assert await page.evaluate("document.documentElement.scrollWidth") == 360

        await row(page, "load").click()
        await expect(page.locator("#panel .summary")).to_be_in_viewport()
        box = await page.locator("#panel").bounding_box()
        assert box is not None
        assert (box["x"], box["width"]) == (0, 360)
        assert box["height"] < 0.7 * 740
        await page.get_by_role("button", name="Close").click()
        await expect(page.locator("#panel")).to_be_hidden()


class TestWaits:
    async def test_are_hexagons_with_clocks_and_answered_by_a_button(
        self, oban: Oban, dashboard: str, unlocked: Page
    ) -> None:
        page = unlocked
        workflow = (
            Workflow(id="order")
            .add_signal("approval", wait_for=7230, choices=["approve", SCRIPT])
            .add("send", work(), deps="approval")
            .add_signal("receipt", deps="send")
        )
        await oban.enqueue_many(workflow)
        await page.goto(f"{dashboard}/workflows/order")
        vertex = page.locator("#graph g.vertex", has_text="approval")
        await expect(vertex.locator("polygon.face")).to_have_count(1)
        await expect(vertex.locator(".detail")).to_have_text("signal, 2h left")
        await expect(page.locator("#table tr", has_text="approval")).to_contain_text(
            "signal, 2h left"
        )
        await expect(page.locator("#graph polygon")).to_have_count(2)

        await vertex.click()
        panel = page.locator("#panel")
        await expect(panel.locator(".summary")).to_contain_text("waits for a signal since")
        await expect(panel.get_by_role("button", name=SCRIPT)).to_be_visible()
        await panel.get_by_role("button", name="approve").click()
        await expect(vertex).to_have_class(re.compile("state-completed"))
        assert await workflow.get_recorded("approval") == {"choice": "approve"}

    async def test_are_answered_in_the_list_of_all(
        self, oban: Oban, dashboard: str, unlocked: Page
    ) -> None:
        page = unlocked

        for name in ("first", "second"):
            workflow = Workflow(id=name).add_signal("approval", choices=["approve", SCRIPT])
            await oban.enqueue_many(workflow)

        await page.goto(f"{dashboard}/waits")
        await expect(page).to_have_title("(2) Waits")
        rows = page.locator("#list tbody tr")
        await expect(rows.get_by_role("button", name=SCRIPT)).to_have_count(2)
        await rows.filter(has_text="second").get_by_role("button", name="approve").click()
        await expect(page.locator("#said")).to_have_text("Signalled.")
        await expect(page).to_have_title("(1) Waits")
        assert await Workflow(id="second").get_recorded("approval") == {"choice": "approve"}
        # without a reload too
        await rows.get_by_role("button", name=SCRIPT).click()
        await expect(page.get_by_text("Nothing waits for a signal.")).to_be_visible()
        assert await Workflow(id="first").get_recorded("approval") == {"choice": SCRIPT}

    async def test_are_refused_with_a_reason(
        self, oban: Oban, dashboard: str, unlocked: Page
    ) -> None:
        workflow = Workflow(id="order").add_signal("approval")
        await oban.enqueue_many(workflow)
        await unlocked.goto(f"{dashboard}/workflows/order")
        await unlocked.locator("#graph g.vertex", has_text="approval").click()
        await unlocked.get_by_label("Reason").fill("too expensive")
        await unlocked.get_by_role("button", name="Reject").click()
        await expect(unlocked.locator("#panel .summary")).to_have_text(
            "job 'approval' was cancelled: rejected: too expensive"
        )


async def test_goes_from_run_to_run(oban: Oban, page: Page, dashboard: str) -> None:
    for number in range(3):
        await oban.enqueue_many(diamond(id=f"run-{number}", name="nightly"))

    await page.goto(f"{dashboard}/workflows/run-1")
    await page.get_by_role("link", name="next run").click()
    await expect(page).to_have_url(re.compile("run-2$"))
    await page.get_by_role("link", name="history").click()
    await expect(page.locator("svg rect")).to_have_count(4)
    await Workflow(id="run-0").cancel_jobs()
    await expect(page.locator("#run-run-0")).to_contain_text("cancelled")
    await page.locator(".history a").first.click()
    await expect(page).to_have_url(re.compile("run-2$"))
    await page.go_back()
    await page.get_by_role("link", name="compare run-1 with run-0").click()
    await expect(page.locator("tbody tr")).to_have_count(4)
    await expect(page.locator("tbody tr").first).to_contain_text("was cancelled")


async def test_acts_on_a_group_starts_again_and_deletes(
    oban: Oban, unlocked: Page, dashboard: str
) -> None:
    workflow = (
        Workflow(id="the-one").add_workflow("sub", diamond()).add("after", work(), deps="sub")
    )
    await oban.enqueue_many(workflow)
    await unlocked.goto(f"{dashboard}/workflows/the-one")
    said, panel = unlocked.locator("#said"), unlocked.locator("#panel")
    await expect(unlocked.locator("#again")).to_be_disabled()
    await expect(unlocked.locator("#delete")).to_be_disabled()
    await unlocked.locator('#graph g.vertex[aria-label^="sub, "]').click(position={"x": 30, "y": 8})
    await panel.get_by_role("button", name="Cancel").click()
    await expect(said).to_have_text("Cancelled 4 jobs.")
    await expect(unlocked.locator("#state")).to_contain_text("cancelled")
    await expect(panel.get_by_role("button", name="Cancel")).to_have_count(0)
    await expect(panel.get_by_role("button", name="Retry", exact=True)).to_be_visible()

    await unlocked.locator("#again").click()
    await expect(said).to_have_text("Started again: 5 jobs.")
    await unlocked.locator("#cancel").click()
    await expect(said).to_have_text("Cancelled 5 jobs.")

    await unlocked.locator("#delete").click()
    await expect(unlocked).to_have_url(f"{dashboard}/")
    await expect(unlocked.locator("#list")).to_contain_text("No workflows yet.")


async def test_pauses_a_workflow_and_limits_a_fan_out(
    oban: Oban, unlocked: Page, dashboard: str
) -> None:
    workflow = Workflow(id="the-one").add_many("call", [work() for _ in range(3)], limit=1)
    await oban.enqueue_many(workflow)
    await unlocked.goto(f"{dashboard}/workflows/the-one")
    said, panel = unlocked.locator("#said"), unlocked.locator("#panel")
    await unlocked.get_by_role("button", name="Pause").click()
    await expect(said).to_have_text("Paused, 1 job held back.")
    await expect(unlocked.locator(".holds")).to_contain_text("The workflow is paused since")
    await unlocked.get_by_role("button", name="Resume").click()
    await expect(said).to_have_text("Resumed, 1 job brought back.")
    await expect(unlocked.get_by_role("button", name="Pause")).to_be_visible()

    # somebody else
    await workflow.pause(by="ada")
    await expect(unlocked.locator(".holds")).to_contain_text("by ada")
    await workflow.resume()
    await expect(unlocked.get_by_role("button", name="Pause")).to_be_visible()

    await unlocked.locator("#graph g.vertex").first.click(position={"x": 30, "y": 8})
    await expect(panel).to_contain_text("At most 1 at once.")
    await panel.get_by_label("At once").fill("2")
    await panel.get_by_role("button", name="Set limit").click()
    await expect(said).to_have_text("Limit set.")
    await expect(panel).to_contain_text("At most 2 at once.")
    assert (await workflow.status()).subs["call"].limit == 2


async def test_a_schedule_is_paused_and_resumed_by_its_button(
    oban: Oban, unlocked: Page, dashboard: str
) -> None:
    await look(oban._query, NIGHTLY)
    await unlocked.goto(f"{dashboard}/schedules")
    row = unlocked.locator("#schedule-nightly")
    await expect(row.get_by_role("button", name="Run nightly now")).to_be_visible()

    for action, said in (("pause", "paused"), ("resume", "running"), ("pause", "paused")):
        await row.get_by_role("button", name=f"{action} nightly").click()
        await expect(unlocked.locator("#said")).to_have_text(f"nightly is {said}.")

    await expect(row).to_contain_text("paused since")
