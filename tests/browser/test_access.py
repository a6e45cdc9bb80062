"""The dashboard for those who use the keyboard, a screen reader, or see colours otherwise."""

from importlib.resources import files
from typing import Any

import pytest
from oban import Oban
from playwright.async_api import Page, expect

from oban_pro import Workflow
from oban_pro._plugin.fire_schedules import look
from oban_pro.schedules import Schedule
from tests.support.flows import keep_item
from tests.support.graphs import diamond, work

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()

# Contrasts of what is drawn against the card that it is on, by its class.
BARS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) =>
      part / 255 <= 0.04045 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const card = light(getComputedStyle(document.querySelector(".views > section")).backgroundColor);
  const states = ["completed", "skipped", "executing", "retryable", "available", "scheduled",
    "suspended", "cancelled", "discarded"];
  return states.map((state) => {
    const dot = document.createElement("i");
    dot.className = `dot state-${state}`;
    document.querySelector(".views").append(dot);
    const style = getComputedStyle(dot, "::before");
    const [low, high] = [light(style.color), card].sort((a, b) => a - b);
    return [style.content, (high + 0.05) / (low + 0.05)];
  });
}"""


NIGHTLY = Schedule(
    lambda _: None,
    "0 2 * * *",
    name="nightly",
    timezone="Europe/Kyiv",
    catch_up="latest",
    overlap="allow",
)


async def open_page(page: Page, address: str) -> None:
    await page.goto(address)
    await expect(page.locator("#graph g.vertex").first).to_be_visible()
    await expect(page.locator("#table tbody tr").first).to_be_visible()


async def violations(page: Page) -> list[Any]:
    """Ask axe what is wrong with the page, and where."""
    await page.evaluate(AXE)
    found = await page.evaluate("axe.run({ resultTypes: ['violations'] })")

    return [
        (one["id"], one["impact"], [node["target"] for node in one["nodes"]][:3])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def nested() -> Workflow:
    return (
        Workflow(name="nightly")
        .add("first", work())
        .add_workflow("inner", diamond(), deps="first")
        .add_cascade("each", (list(range(200)), keep_item), deps="first")
    )


class TestKeys:
    async def test_reach_everything_in_a_few_steps(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = nested()
        await oban.enqueue_many(workflow)
        await open_page(page, f"{dashboard}/workflows/{workflow.id}")
        reached = []

        for _ in range(20):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.closest('[id]')?.id"))

        assert {"graph", "timeline", "jobs-filter"} <= set(reached)
        assert any(one.startswith("row-") for one in reached if one)

    async def test_go_along_edges_into_the_panel_and_back(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = nested()
        await oban.enqueue_many(workflow)
        await open_page(page, f"{dashboard}/workflows/{workflow.id}")

        def vertex(name: str) -> Any:
            return page.locator(f'#graph g.vertex[aria-label^="{name}, "]')

        await vertex("first").focus()
        await page.keyboard.press("ArrowRight")
        await expect(vertex("first")).not_to_be_focused()
        await vertex("start").focus()
        await page.keyboard.press("ArrowRight")
        await expect(vertex("left")).to_be_focused()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Enter")
        await expect(page.locator("#panel h2")).to_contain_text("end")
        await expect(page.locator("#panel")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(vertex("end")).to_be_focused()
        await vertex("inner").focus()
        await page.keyboard.press("-")
        await expect(vertex("start")).to_have_count(0)
        await page.keyboard.press("/")
        await expect(page.get_by_role("searchbox", name="Search jobs")).to_be_focused()


class TestColours:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_stand_out_and_are_never_alone(
        self, scheme: Any, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        await page.emulate_media(color_scheme=scheme)
        await open_page(page, f"{dashboard}/workflows/{workflow.id}")
        found = await page.evaluate(BARS)
        assert len({icon for icon, _ in found}) == 9
        assert min(contrast for _, contrast in found) >= 3


class TestAxe:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_axe_finds_no_serious_violation_on_any_page(
        self, scheme: Any, oban: Oban, unlocked: Page, dashboard: str
    ) -> None:
        workflow = nested()
        await oban.enqueue_many(workflow)
        await unlocked.emulate_media(color_scheme=scheme)
        await unlocked.goto(dashboard)
        await expect(unlocked.locator("a.name")).to_have_count(1)
        assert await violations(unlocked) == []

        await oban.enqueue_many(other := nested())
        comparison = f"workflows/{other.id}/compare?with={workflow.id}"

        await look(oban._query, NIGHTLY)

        for path in ("waits", "queues", "schedules", "history?name=nightly", comparison):
            await unlocked.goto(f"{dashboard}/{path}")
            await expect(unlocked.locator("h1")).to_be_visible()
            assert await violations(unlocked) == []

        await open_page(unlocked, f"{dashboard}/workflows/{workflow.id}")
        await unlocked.locator("#table tbody tr").first.click()
        await expect(unlocked.locator("#panel h2")).to_be_visible()
        assert await violations(unlocked) == []


class TestPhone:
    @pytest.mark.parametrize("path", ["", "waits", "queues", "schedules", "history?name=nightly"])
    async def test_no_page_scrolls_sideways_on_a_phone(
        self, path: str, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = nested().add_signal("a long name of something that waits for a signal")
        await look(oban._query, NIGHTLY)
        await oban.enqueue_many([*workflow, work(queue="a-queue-with-a-name-as-long-as-any" * 2)])
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.goto(f"{dashboard}/{path}")
        await expect(page.locator("table.workflows tbody tr").first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == 390

    @pytest.mark.parametrize("width", [390, 360])
    async def test_has_a_header_of_two_lines(
        self, width: int, oban: Oban, unlocked: Page, dashboard: str
    ) -> None:
        workflow = Workflow(name="a name of a workflow that takes a whole line and more")
        await oban.enqueue_many(workflow.add_workflow("inner", nested()))
        inner = (await workflow.status()).subs["inner"].id
        await unlocked.set_viewport_size({"width": width, "height": 844})

        for path in ("", "waits", f"workflows/{workflow.id}", f"workflows/{inner}"):
            await unlocked.goto(f"{dashboard}/{path}")
            header = await unlocked.locator("header.top").bounding_box()
            assert header is not None
            assert header["height"] < 80

        # what a reader came for is on the first screen
        await expect(unlocked.locator("#graph g.vertex").first).to_be_visible()
        graph = await unlocked.locator("#graph").bounding_box()
        assert graph is not None
        assert graph["y"] < 844 / 2

    async def test_has_targets_that_a_finger_hits(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = nested()
        await oban.enqueue_many(workflow)
        await page.set_viewport_size({"width": 390, "height": 844})
        await open_page(page, f"{dashboard}/workflows/{workflow.id}")

        for toggle in await page.locator("#graph .toggle").all():
            box = await toggle.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 24
