"""Moving in the graph, searching it, and following what runs in it."""

import asyncio
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from oban import Oban
from playwright.async_api import Page, expect

from oban_pro import Workflow
from tests.browser import test_dashboard
from tests.browser.test_dashboard import Gated, closed_gate, drawn, open_workflow
from tests.support.fixtures import StartOban
from tests.support.graphs import diamond, settled, work

pytestmark = pytest.mark.usefixtures(closed_gate.__name__)

# Where a box is on the page, its middle, and how wide it is.
PLACE = """(vertex) => {
  const { x, y, width, height } = vertex.querySelector(".face").getBoundingClientRect();
  return [x + width / 2, y + height / 2, width];
}"""


def wide(layers: int = 12) -> Workflow:
    """Build layers of two jobs, which are no chain: wider than a window."""
    workflow = Workflow(name="wide")

    for layer in range(layers):
        for side in "ab":
            deps = [f"{other}{layer - 1}" for other in "ab"] if layer else []
            workflow.add(f"{side}{layer}", work(), deps=deps)

    return workflow


async def place(page: Page, name: str) -> list[float]:
    found: list[float] = await drawn(page, name).evaluate(PLACE)

    return found


async def settle_place(page: Page, name: str) -> list[float]:
    """Tell where a box is when it has stopped."""
    before, now = None, await place(page, name)

    while before != now:
        await page.evaluate("new Promise(requestAnimationFrame)")
        before, now = now, await place(page, name)

    return now


@pytest.fixture
async def graph(oban: Oban, page: Page, dashboard: str) -> Any:
    workflow = wide()
    await oban.enqueue_many(workflow)
    await open_workflow(page, dashboard, workflow)
    await expect(drawn(page, "a11")).to_be_attached()

    return page.locator("#graph")


class TestMoving:
    async def test_follows_a_pointer_that_drags_and_presses_nothing(
        self, graph: Any, page: Page
    ) -> None:
        x, y, _ = await settle_place(page, "a2")
        await page.mouse.move(x, y)
        await page.mouse.down()
        await page.mouse.move(x - 150, y + 10, steps=5)
        await page.mouse.up()
        moved = await settle_place(page, "a2")
        assert moved[:2] == pytest.approx([x - 150, y + 10], abs=2)
        await expect(page.locator("#panel")).to_be_hidden()
        # without having been dragged it is pressed
        await page.mouse.click(*moved[:2])
        await expect(page.locator("#panel h2")).to_contain_text("a2")

    async def test_zooms_by_the_wheel_where_the_pointer_is(self, graph: Any, page: Page) -> None:
        x, y, width = await settle_place(page, "a2")
        await page.mouse.move(x, y)
        await page.mouse.wheel(0, -300)
        await page.wait_for_function(
            "([x, width]) => document.querySelector('#graph .vertex .face')"
            ".getBoundingClientRect().width > width * 1.05",
            arg=[x, width],
        )
        now = await settle_place(page, "a2")
        assert now[:2] == pytest.approx([x, y], abs=3)
        assert now[2] > width

    async def test_zooms_where_two_fingers_are(self, graph: Any, page: Page) -> None:
        x, y, width = await settle_place(page, "a2")
        session = await page.context.new_cdp_session(page)

        async def touch(kind: str, apart: float) -> None:
            ends = [] if kind == "touchEnd" else [-apart, apart]
            points = [{"x": x + end, "y": y, "id": n} for n, end in enumerate(ends)]
            await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        await touch("touchStart", 20)

        for apart in range(30, 120, 10):
            await touch("touchMove", apart)

        await touch("touchEnd", 0)
        assert (await settle_place(page, "a2"))[2] > width * 1.2

    async def test_has_buttons_and_keys_for_all_of_it(self, graph: Any, page: Page) -> None:
        _, _, width = await settle_place(page, "a2")
        await page.get_by_role("button", name="Zoom in").click()
        await page.get_by_role("button", name="Zoom in").press("Enter")
        larger = await settle_place(page, "a2")
        assert larger[2] == pytest.approx(width * 1.25 * 1.25, rel=0.02)
        await drawn(page, "a0").focus()
        larger = await settle_place(page, "a2")
        await page.keyboard.press("Shift+ArrowRight")
        assert (await settle_place(page, "a2"))[0] < larger[0]
        await page.keyboard.press("0")
        await settle_place(page, "a2")
        await expect(drawn(page, "a0")).to_be_in_viewport(ratio=1)
        await expect(drawn(page, "a11")).to_be_in_viewport(ratio=1)
        # a member that an arrow key leads to comes into sight
        for _ in range(4):
            await page.get_by_role("button", name="Zoom in").click()

        await drawn(page, "a0").focus()

        for _ in range(11):
            await page.keyboard.press("ArrowRight")

        await expect(drawn(page, "a11")).to_be_focused()
        await expect(drawn(page, "a11")).to_be_in_viewport(ratio=1)

    async def test_is_all_in_the_minimap(self, graph: Any, page: Page) -> None:
        minimap = page.locator("#minimap")
        await expect(minimap).to_be_visible()
        await expect(drawn(page, "a11")).not_to_be_in_viewport()
        box = await minimap.bounding_box()
        assert box is not None
        await page.mouse.click(box["x"] + box["width"] * 0.95, box["y"] + box["height"] / 2)
        await expect(drawn(page, "a11")).to_be_in_viewport()
        await page.get_by_role("button", name="Fit").click()
        await expect(minimap).to_be_hidden()

    async def test_keeps_its_place_when_the_graph_changes(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = wide()
        workflow.add_many("many", [work() for _ in range(30)], deps="a5")
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await page.get_by_role("button", name="Zoom in").click()
        await drawn(page, "many").focus()
        await page.keyboard.press("Shift+ArrowRight")
        toggle = page.get_by_role("button", name="Open many")
        before = await settle_place(page, "many")
        corner = before[0] - before[2] / 2
        await toggle.press("Enter")
        await expect(page.locator("#graph g.vertex")).to_have_count(24 + 31)
        after = await settle_place(page, "many")
        assert after[0] - after[2] / 2 == pytest.approx(corner, abs=3)


class TestShowing:
    async def test_finds_members_by_their_name(self, graph: Any, page: Page) -> None:
        box = page.get_by_role("searchbox", name="Find in the graph")
        await box.fill("B1")
        await expect(page.locator("#found")).to_have_text("1 of 3")
        await expect(page.locator("#graph .vertex.found")).to_have_count(3)
        await box.press("Enter")
        await expect(page.locator("#found")).to_have_text("2 of 3")
        await expect(drawn(page, "b10")).to_be_in_viewport()
        await box.press("ArrowDown")
        await expect(drawn(page, "b10")).to_be_focused()
        await box.fill("nothing")
        await expect(page.locator("#found")).to_have_text("none is drawn")
        await box.fill("")
        await expect(page.locator("#graph .vertex.found")).to_have_count(0)

    async def test_leaves_out_what_is_completed(
        self, start_oban: StartOban, page: Page, dashboard: str
    ) -> None:
        workflow = (
            Workflow()
            .add("first", work())
            .add_many("many", [work() for _ in range(3)], deps="first")
            .add("runs", Gated.new({}), deps="many")
            .add("last", work(), deps="runs")
        )
        await (await start_oban()).enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(drawn(page, "runs")).to_contain_class("state-executing")
        button = page.get_by_role("button", name="Hide completed")
        await button.click()
        await expect(page.locator("#graph g.vertex")).to_have_count(2)
        await expect(button).to_have_attribute("aria-pressed", "true")
        await page.reload()
        await expect(page.locator("#graph g.vertex")).to_have_count(2)
        await button.click()
        await expect(page.locator("#graph g.vertex")).to_have_count(4)

    async def test_says_so_where_all_is_completed(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        workflow = diamond()
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await open_workflow(page, dashboard, workflow)
        await page.get_by_role("button", name="Hide completed").click()
        await expect(page.locator("#hidden")).to_have_text("all of it is completed")

    async def test_moves_to_what_runs(
        self, start_oban: StartOban, page: Page, dashboard: str
    ) -> None:
        workflow = wide()
        workflow.add("stops here", Gated.new({}), deps="a11")
        oban = await start_oban()
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await expect(drawn(page, "stops here")).to_contain_class("state-executing")
        await expect(drawn(page, "stops here")).not_to_be_in_viewport()
        button = page.get_by_role("button", name="Follow")
        await button.click()
        await expect(drawn(page, "stops here")).to_be_in_viewport(ratio=1)
        # after a reload too
        await page.reload()
        await expect(drawn(page, "stops here")).to_be_in_viewport(ratio=1)
        # until its reader looks elsewhere
        await drawn(page, "stops here").focus()
        await page.keyboard.press("Shift+ArrowLeft")
        await expect(button).to_have_attribute("aria-pressed", "false")

    async def test_opens_and_folds_everything(self, oban: Oban, page: Page, dashboard: str) -> None:
        inner = Workflow().add_many("each", [work() for _ in range(5)])
        workflow = Workflow().add_workflow("sub", inner).add_workflow("other", diamond())
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await page.get_by_role("button", name="Open all").click()
        await expect(page.locator("#graph g.vertex")).to_have_count(2 + 1 + 5 + 4)
        await page.get_by_role("button", name="Fold all").click()
        await expect(page.locator("#graph g.vertex")).to_have_count(2)
        await page.get_by_role("button", name="Open all").click()
        await expect(page.locator("#graph g.vertex")).to_have_count(12)

    async def test_the_graph_fills_the_screen_when_asked(self, graph: Any, page: Page) -> None:
        before = await graph.bounding_box()
        button = page.get_by_role("button", name="Full screen")
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#timeline")).to_be_hidden()
        await page.wait_for_function(
            "(least) => document.querySelector('#graph svg').clientHeight > least",
            arg=before["height"] + 100,
        )
        await drawn(page, "a0").click()
        await expect(page.locator("#panel h2")).to_contain_text("a0")
        await button.click()
        await expect(page.locator("#timeline")).to_be_visible()

    async def test_is_saved_as_a_file_that_needs_no_page(
        self, oban: Oban, page: Page, dashboard: str, tmp_path: Path
    ) -> None:
        workflow = Workflow(name="a/b <c>").add("<b>&", work()).add("last", work(), deps="<b>&")
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Save").click()

        saved = await download.value
        assert saved.suggested_filename == "a_b _c_.svg"
        await saved.save_as(tmp_path / "graph.svg")
        text = await asyncio.to_thread((tmp_path / "graph.svg").read_text)
        root = ElementTree.fromstring(text)
        texts = ["".join(found.itertext()) for found in root.iter() if found.tag.endswith("text")]
        assert "<b>&" in texts
        assert not re.search("class=|var\\(", text)
        faces = [found for found in root.iter() if found.tag.endswith("rect")]
        assert all("fill" in face.attrib for face in faces)


async def test_tells_how_fast_a_fan_out_gets_on_and_how_long_it_takes(
    start_oban: StartOban, page: Page, dashboard: str
) -> None:
    workflow = Workflow().add("first", Gated.new({}))
    workflow.add_many("many", [work() for _ in range(3000)], deps="first")
    await (await start_oban({"default": 1})).enqueue_many(workflow)
    await open_workflow(page, dashboard, workflow)
    await drawn(page, "many").click(position={"x": 30, "y": 8})
    told = re.compile(r"[\d,.]+/(s|min), about \d+ (s|min|h) left")
    test_dashboard.gate.set()
    await expect(page.locator("#summary")).to_have_text(re.compile(r"of 3,001 jobs.*, about"))
    await expect(page.locator("#panel .rate")).to_have_text(told)
    await expect(drawn(page, "many").locator(".speed")).to_have_text(told)
