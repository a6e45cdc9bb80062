"""What people do with the dashboard."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
from oban import Job, Oban, Worker, worker
from playwright.async_api import Page, expect
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.demo.flow import build_workflow
from tests.support.cli import start_cli
from tests.support.fixtures import StartOban
from tests.support.flows import keep_item, nothing
from tests.support.graphs import diamond, settled, work
from tests.support.sites import add_distribution, recorded_hash

SCRIPT = "<script>alert(1)</script>"
LONG = 60_000
"""Milliseconds to wait at most for what takes worker processes."""

LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"

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
  const name = document.activeElement.querySelector("text, td")?.textContent;
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
    ...[".vertex text", ".vertex .detail", ".span text", ".tick text"].map(
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

gate = asyncio.Event()


@worker()
class Gated(Worker):
    async def process(self, job: Job) -> None:
        await gate.wait()


@pytest.fixture(autouse=True)
def closed_gate() -> None:
    global gate  # noqa: PLW0603
    gate = asyncio.Event()


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


def drawn(page: Page, name: str) -> Any:
    return page.locator(f'#graph g.vertex[aria-label^="{name}, "]')


def row(page: Page, name: str) -> Any:
    return page.locator("#table tbody tr").filter(
        has=page.get_by_role("cell", name=name, exact=True)
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
        await expect(page).to_have_url(f"{dashboard}/?q=&state=cancelled")

    async def test_follows_what_happens(self, oban: Oban, page: Page, dashboard: str) -> None:
        await page.goto(dashboard)
        await expect(page.get_by_text("No workflows yet")).to_be_visible()
        await oban.enqueue_many(diamond(name="newcomer"))
        await expect(page.locator("a.name")).to_have_text(["newcomer"], timeout=15_000)


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
        await page.route("**/events", lambda route: route.abort())
        workflow = report()
        await (await start_oban()).enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(page.locator("#live")).to_have_text("polling")
        gate.set()
        await expect(page).to_have_title("completed · nightly report", timeout=20_000)

    async def test_says_so_without_a_connection_and_goes_on_with_it(
        self, oban: Oban, browser: Any, dashboard: str
    ) -> None:
        page = await browser.new_page()
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await page.route("**/view.json*", lambda route: route.abort())
        await expect(page.locator("#live")).to_have_text("no connection", timeout=15_000)
        await expect(drawn(page, "end")).to_be_visible()
        await page.unroute("**/view.json*")
        await expect(page.locator("#live")).to_have_text("live", timeout=15_000)

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

    async def test_lists_a_hundred_thousand_workflows_in_less_than_two_seconds(
        self, pool: AsyncConnectionPool, page: Page, dashboard: str
    ) -> None:
        async with pool.connection() as conn:
            await conn.execute(
                "INSERT INTO oban_workflow_groups (id, name, root, empty_state, inserted_at)"
                " SELECT 'id-' || n, 'number ' || n, 0, 'completed',"
                " timezone('UTC', now()) - n * interval '1 second'"
                " FROM generate_series(1, 100000) n"
            )
            await conn.execute("UPDATE oban_workflow_groups SET root = key")

        first = {"/": "number 1", "/?page=2000": "number 99951", "/?q=9999": "number 9999"}

        for path, name in (first | {"/?state=completed&page=2": "number 51"}).items():
            await page.goto(dashboard + path)
            await expect(page.locator("a.name").first).to_have_text(name)
            assert await page.evaluate(LOADED) < 2000

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
        await page.get_by_role("button", name="Open each").click()
        await expect(drawn(page, "9,850 more")).to_contain_class("holds")
        # it is still there after a reload, on the page of the table that has it
        await page.reload()
        await expect(row(page, "each / 9876")).to_contain_class("selected")
        await expect(pages).to_contain_text("9,801 to 9,900 of 10,001")


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
            span = page.locator("#timeline g.span").filter(has_text=re.compile(f"^{name}"))
            return span.locator(f"rect.{kind}")

        for kind in ("waiting", "queued", "running", "retries"):
            await expect(page.locator(".key")).to_contain_text(kind)
            await expect(bars("many", kind)).to_have_count(1)

        await page.get_by_role("button", name="Open many").click()
        await expect(bars("fails", "retries")).to_have_count(1)
        await expect(bars("fails", "failed")).to_have_count(2)
        await expect(bars("works", "retries")).to_have_count(0)
        boxes = [await bars("fails", kind).bounding_box() for kind in ("retries", "running")]
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


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

    async def test_goes_wherever_tab_does(self, oban: Oban, page: Page, dashboard: str) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(row(page, "end")).to_be_visible()
        reached = set()

        for _ in range(40):
            await page.keyboard.press("Tab")
            reached.add(await page.evaluate(FOCUSED))

        for part in ("graph", "timeline", "table"):
            assert {f"{part} {name}" for name in ("start", "left", "right", "end")} <= reached

        await row(page, "left").press("Enter")
        await expect(drawn(page, "left")).to_contain_class("selected")
        await page.locator("#timeline g.span", has_text="right").press(" ")
        await expect(row(page, "right")).to_contain_class("selected")

    async def test_works_by_keyboard_alone(self, oban: Oban, page: Page, dashboard: str) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await page.get_by_role("button", name="start, available").first.focus()
        await page.keyboard.press("Tab")
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
        await expect(page.locator("#panel pre").first).to_contain_text(SCRIPT)
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

    async def test_fit_a_phone(self, oban: Oban, page: Page, dashboard: str) -> None:
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
