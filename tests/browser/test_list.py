"""What people do with the list of workflows."""

import re
from typing import Any

import pytest
from oban import Oban
from playwright.async_api import Page, expect
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from tests.support.graphs import diamond, work

LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"

# How many lines the first row of the list has.
LINES = """() => {
  const row = document.querySelector(".workflows tbody tr");
  const middles = [...row.querySelectorAll(".name, .badge, .count, time")]
    .filter((one) => one.offsetParent).map((one) => one.getBoundingClientRect())
    .map((box) => (box.top + box.bottom) / 2).sort((one, other) => one - other);
  return middles.filter((middle, index) => index === 0 || middle - middles[index - 1] > 6).length;
}"""


def box(page: Page, name: str) -> Any:
    return page.get_by_role("checkbox", name=f"Select {name}", exact=True)


async def enqueue(oban: Oban, *names: str) -> list[Workflow]:
    workflows = [diamond(id=f"id-{name}", name=name) for name in names]

    for workflow in workflows:
        await oban.enqueue_many(workflow)

    return workflows


class TestSelection:
    async def test_is_acted_on_after_its_count_was_confirmed(
        self, oban: Oban, unlocked: Page, dashboard: str
    ) -> None:
        workflows = await enqueue(oban, "a", "b", "c")
        asked: list[str] = []
        unlocked.on("dialog", lambda dialog: asked.append(dialog.message))
        await unlocked.goto(dashboard)
        cancel = unlocked.locator("#bulk").get_by_role("button", name="Cancel")
        await expect(cancel).to_be_disabled()
        await box(unlocked, "a").check()
        await box(unlocked, "c").check()
        await expect(unlocked.locator("#chosen")).to_have_text("2 selected")
        await cancel.click()
        await expect(unlocked.locator("#said")).to_have_text("Cancelled 2 workflows.")
        assert asked == ["Cancel 2 workflows? Their open jobs are cancelled."]
        states = [(await workflow.status()).state for workflow in workflows]
        assert states == ["cancelled", "executing", "cancelled"]
        await expect(unlocked.locator("#chosen")).to_have_text("none selected")
        await expect(unlocked.locator("#root-id-a")).to_contain_text("cancelled")

    async def test_says_what_was_refused_and_keeps_it_in_sight(
        self, oban: Oban, unlocked: Page, dashboard: str
    ) -> None:
        _, settled = await enqueue(oban, "open", "settled")
        await settled.cancel_jobs()
        await unlocked.goto(dashboard)
        await unlocked.get_by_role("checkbox", name="Select all on this page").check()
        await unlocked.locator("#bulk").get_by_role("button", name="Delete").click()
        await expect(unlocked.locator("#said")).to_have_text("Deleted 1 workflow. Refused: 1.")
        await expect(unlocked.locator("#outcome li")).to_have_text(
            "id-open: workflow 'id-open' is open; cancel it first"
        )
        await expect(unlocked.locator("a.name")).to_have_text(["open"])

    async def test_works_by_keyboard_and_stays_while_the_list_changes(
        self, oban: Oban, unlocked: Page, dashboard: str
    ) -> None:
        await enqueue(oban, "a", "b", "c", "d")
        await unlocked.goto(dashboard)
        await unlocked.get_by_role("link", name="b", exact=True).focus()
        await unlocked.keyboard.press("x")
        await expect(box(unlocked, "b")).to_be_checked()
        await box(unlocked, "d").focus()
        await unlocked.keyboard.press("Space")
        await unlocked.keyboard.press("ArrowDown")
        await expect(box(unlocked, "c")).to_be_focused()
        await expect(unlocked.locator("#chosen")).to_have_text("2 selected")
        await box(unlocked, "a").click(modifiers=["Shift"])
        await expect(unlocked.locator("#chosen")).to_have_text("4 selected")
        await enqueue(oban, "new")
        await expect(unlocked.locator("a.name")).to_have_count(5)
        await expect(unlocked.locator("#chosen")).to_have_text("4 selected")
        await expect(box(unlocked, "a")).to_be_checked()
        await expect(box(unlocked, "new")).not_to_be_checked()
        await unlocked.keyboard.press("Escape")
        await expect(unlocked.locator("#chosen")).to_have_text("none selected")

    async def test_is_one_stop_of_the_tab_key(
        self, oban: Oban, unlocked: Page, dashboard: str
    ) -> None:
        await enqueue(oban, "a", "b", "c")
        await unlocked.goto(dashboard)
        await expect(unlocked.locator("[data-pick][tabindex='0']")).to_have_count(1)

    async def test_of_jobs_is_acted_on_together(
        self, oban: Oban, unlocked: Page, dashboard: str
    ) -> None:
        workflow = Workflow(id="the-one").add("a", work()).add("b", work()).add("c", work())
        await oban.enqueue_many(workflow)
        await unlocked.goto(f"{dashboard}/workflows/the-one")
        picked = unlocked.locator("#picked")
        await expect(picked).to_be_hidden()
        await box(unlocked, "a").check()
        await box(unlocked, "b").check()
        # a box selects, and opens no panel
        await expect(unlocked.locator("#panel")).to_be_hidden()
        await picked.get_by_role("button", name="Cancel").click()
        await expect(unlocked.locator("#said")).to_have_text("Cancelled 2 jobs.")
        await expect(picked).to_be_hidden()
        assert (await workflow.status()).counts["cancelled"] == 2
        await unlocked.get_by_role("checkbox", name="Select all on this page").check()
        await picked.get_by_role("button", name="Retry", exact=True).click()
        await expect(unlocked.locator("#said")).to_have_text("Retried 2 jobs.")


class TestAllThatMatch:
    async def test_are_counted_and_acted_on_on_all_pages(
        self, oban: Oban, unlocked: Page, dashboard: str
    ) -> None:
        await enqueue(oban, *[f"import {number}" for number in range(55)])
        (other,) = await enqueue(oban, "report")
        asked: list[str] = []
        unlocked.on("dialog", lambda dialog: asked.append(dialog.message))
        await unlocked.goto(f"{dashboard}/?q=import")
        await unlocked.get_by_role("button", name="All that match").click()
        await expect(unlocked.locator("#chosen")).to_have_text("all that match")
        await unlocked.locator("#bulk").get_by_role("button", name="Pause").click()
        await expect(unlocked.locator("#said")).to_have_text("Paused 55 workflows.")
        assert asked == [
            "Pause 55 workflows that match? Nothing of them starts until they are resumed."
        ]
        assert (await other.status()).paused_at is None
        # the next action is about a selection again
        await expect(unlocked.locator("#chosen")).to_have_text("none selected")

        await unlocked.get_by_role("button", name="All that match").click()
        await unlocked.locator("#bulk").get_by_role("button", name="Retry").click()
        await expect(unlocked.locator("#said")).to_have_text(
            "None of those that match can be retried."
        )


class TestFilters:
    async def test_are_in_the_address_and_come_back_with_it(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        await oban.enqueue_many(diamond(name="acme's", attributes={"tenant": "acme"}))
        await oban.enqueue_many(diamond(name="other"))
        await oban.enqueue_many(Workflow(name="gpu").add("train", work(queue="gpu")))
        await page.goto(dashboard)
        await page.get_by_text("More filters").click()
        await page.get_by_label("With attribute").fill("tenant=acme")
        await page.keyboard.press("Enter")
        await expect(page.locator("a.name")).to_have_text(["acme's"])
        await page.get_by_label("With attribute").fill("")
        await page.get_by_label("Queue").fill("gpu")
        await page.get_by_label("Inserted since").fill("1d")
        await page.get_by_label("Jobs that are").select_option("available")
        await expect(page.locator("a.name")).to_have_text(["gpu"])
        await expect(page).to_have_url(f"{dashboard}/?since=1d&jobs=available&queue=gpu")
        await page.reload()
        await expect(page.locator("a.name")).to_have_text(["gpu"])
        await expect(page.get_by_label("Queue")).to_have_value("gpu")
        await page.get_by_label("Inserted since").fill("soon")
        await page.keyboard.press("Enter")
        await expect(page.locator("#list")).to_contain_text("since must be an age like 30m")

    async def test_count_states_and_lead_to_them(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        await enqueue(oban, "a", "b")
        (stopped,) = await enqueue(oban, "stopped")
        await stopped.cancel_jobs()
        await page.goto(dashboard)
        await expect(page.locator(".states")).to_contain_text("2 executing")
        await page.get_by_role("link", name="1 cancelled").click()
        await expect(page.locator("a.name")).to_have_text(["stopped"])
        await expect(page).to_have_url(f"{dashboard}/?state=cancelled")


class TestMany:
    async def test_are_listed_in_pages_however_many_there_are(
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

        first = {"": "number 1", "?order=oldest": "number 100000", "?q=9999": "number 9999"}

        for query, name in (first | {"?state=completed": "number 1"}).items():
            taken = []

            for _ in range(3):
                await page.goto(f"{dashboard}/{query}")
                await expect(page.locator("a.name").first).to_have_text(name)
                taken.append(await page.evaluate(LOADED))

            # the best of three, as other programs share the machine
            assert min(taken) < 2000

        await page.get_by_role("link", name="next").click()
        await expect(page.locator("a.name").first).to_have_text("number 51")
        await page.get_by_role("link", name="before").click()
        await expect(page.locator("a.name").first).to_have_text("number 1")

        await page.goto(f"{dashboard}/?q=number 15000")
        await expect(page.locator("#list")).to_contain_text("have been looked at")
        await page.get_by_role("link", name="look further").click()
        await expect(page.locator("a.name")).to_have_text(["number 15000"])


class TestRows:
    @pytest.mark.parametrize(
        ("width", "height", "lines", "least"), [(1400, 900, 1, 20), (390, 844, 2, 8)]
    )
    async def test_take_a_line_or_two_on_a_phone(
        self,
        width: int,
        height: int,
        lines: int,
        least: int,
        oban: Oban,
        page: Page,
        dashboard: str,
    ) -> None:
        for number in range(50):
            name = f"a workflow with a rather long name {number}"
            await oban.enqueue_many(diamond(name=name))

        await page.set_viewport_size({"width": width, "height": height})
        await page.goto(dashboard)
        rows = page.locator(".workflows tbody tr")
        await expect(rows).to_have_count(50)
        assert await page.evaluate(LINES) == lines
        bottoms = [
            found["y"] + found["height"]
            for row in await rows.all()
            if (found := await row.bounding_box())
        ]
        assert sum(bottom <= height for bottom in bottoms) >= least
        assert await page.evaluate("document.documentElement.scrollWidth") == width


class TestTimes:
    async def test_are_of_utc_of_here_or_how_long_ago_as_the_reader_chose(
        self, oban: Oban, pool: AsyncConnectionPool, page: Page, dashboard: str
    ) -> None:
        await enqueue(oban, "a")
        (stopped,) = await enqueue(oban, "b")
        await stopped.cancel_jobs()

        async with pool.connection() as conn:
            await conn.execute(
                "UPDATE oban_workflow_groups SET inserted_at = '2026-01-02 03:04:05',"
                " stopped_at = '2026-01-02 04:05:06' WHERE name = 'b'"
            )

        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
        await page.goto(f"{dashboard}/?order=oldest")
        times = page.locator("#root-id-b time")
        await expect(times).to_have_text(["2026-01-02 03:04:05", "2026-01-02 04:05:06"])
        await page.get_by_label("Times").select_option("local time")
        await expect(times).to_have_text(["2026-01-02 08:34:05", "2026-01-02 09:35:06"])
        await times.first.hover()
        await expect(times.first).to_have_attribute(
            "title", re.compile("^2026-01-02 03:04:05 UTC · 2026-01-02 08:34:05 here · .* ago$")
        )

        # what is brought up to date stays so, and the choice is kept
        await enqueue(oban, "c")
        await expect(page.locator("a.name")).to_have_count(3)
        await expect(times.first).to_have_text("2026-01-02 08:34:05")
        await page.reload()
        await expect(times.first).to_have_text("2026-01-02 08:34:05")
        await page.get_by_label("Times").select_option("how long ago")
        await expect(page.locator("#root-id-c time")).to_have_text(re.compile("^[0-9.]+m?s ago$"))

        await page.goto(f"{dashboard}/workflows/id-b")
        await expect(page.locator("#summary time")).to_have_text(re.compile("h .*m ago$"))
        await page.get_by_label("Times").select_option("UTC")
        await expect(page.locator("#summary")).to_contain_text("ended 2026-01-02 04:05:06")
        await expect(page.locator("#table tbody time").first).to_have_text(re.compile("^20"))
