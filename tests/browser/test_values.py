"""What a job was given and left, and why it failed, as somebody reads it."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oban import Job, Oban, Worker, worker
from playwright.async_api import Page, expect

from oban_pro import Workflow
from oban_pro.values import codec
from tests.browser.test_dashboard import open_workflow, row
from tests.support.fixtures import StartOban
from tests.support.graphs import settled, work

LARGE = 9_007_199_254_740_993
"""JavaScript would round it."""


@dataclass
class Order:
    number: int
    lines: list[str]


@worker()
class Keeps(Worker):
    async def process(self, job: Job) -> Any:
        return codec.record({"a.b": [Order(LARGE, ["x"])], "all": list(range(2500))})


@worker(max_attempts=1)
class Breaks(Worker):
    async def process(self, job: Job) -> None:
        json.loads(job.args["text"])


def tree(page: Page, name: str) -> Any:
    return page.locator(f'#panel section[data-value="{name}"] .tree')


class TestValues:
    async def test_are_trees_that_open_as_far_as_one_wants(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        workflow = Workflow().add("keeps", Keeps.new({"long": "y" * 30_000 + "end"}, tags=["red"]))
        workflow.add_context({"region": "north"})
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await open_workflow(page, dashboard, workflow)
        await row(page, "keeps").click()
        recorded = tree(page, "recorded")
        await expect(recorded.locator("summary").first).to_have_text("{2}")
        await expect(recorded).to_contain_text("a.b:")
        await expect(recorded).to_contain_text(f"number: {LARGE}")
        # what is folded is not there before it is opened
        await expect(recorded).not_to_contain_text("2,400 to 2,499")
        await recorded.locator("summary", has_text="all").click()
        await recorded.locator("summary", has_text="2,400 to 2,499").press("Enter")
        await expect(recorded.locator(".leaf", has_text="2499")).to_be_visible()
        await expect(tree(page, "context")).to_contain_text("region: north")
        await expect(tree(page, "meta")).to_contain_text("workflow_id")
        await expect(page.locator("#panel dl")).to_contain_text("red")
        # nothing is cut off
        arguments = tree(page, "args")
        await expect(arguments).not_to_contain_text("end")
        await arguments.get_by_role("button", name="show all 30,003 characters").click()
        await expect(arguments).to_contain_text("end")

    async def test_are_copied_and_saved_whole(
        self, oban: Oban, page: Page, dashboard: str, tmp_path: Path
    ) -> None:
        args = {"long": "y" * 30_000, "number": LARGE}
        workflow = Workflow().add("first", Keeps.new(args))
        await oban.enqueue_many(workflow)
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await open_workflow(page, dashboard, workflow)
        await row(page, "first").click()
        section = page.locator('#panel section[data-value="args"]')
        await section.get_by_role("button", name="Copy").click()
        await expect(section.get_by_role("button", name="Copied")).to_be_visible()
        copied = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert copied.items() >= args.items()

        async with page.expect_download() as download:
            await section.get_by_role("link", name="Download").click()

        saved = tmp_path / "saved.json"
        await (await download.value).save_as(saved)
        assert json.loads(await asyncio.to_thread(saved.read_text)) == copied

    async def test_of_others_are_text(self, oban: Oban, page: Page, dashboard: str) -> None:
        hostile = {"<b>": "<script>alert(1)</script>", "__python__": 1, "": None, "deep": [[[[]]]]}
        workflow = Workflow().add("first", work(meta={"own": hostile}))
        await oban.enqueue_many(workflow)
        await open_workflow(page, dashboard, workflow)
        await row(page, "first").click()
        await expect(tree(page, "meta")).to_contain_text("<b>: <script>alert(1)</script>")
        await expect(page.locator("#panel script, #panel b")).to_have_count(0)

    async def test_are_on_the_page_of_one_job_too(
        self, oban: Oban, page: Page, dashboard: str
    ) -> None:
        workflow = Workflow().add("first", Keeps.new({"number": LARGE}))
        await oban.enqueue_many(workflow)
        await page.goto(f"{dashboard}/workflows/{workflow.id}/jobs/1")
        await expect(page.locator(".tree").first).to_contain_text(f"number: {LARGE}")


class TestTracebacks:
    async def test_begin_with_what_the_user_wrote(
        self, start_oban: StartOban, page: Page, dashboard: str, wait_until: Any
    ) -> None:
        workflow = Workflow().add("breaks", Breaks.new({"text": "{"}))
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await open_workflow(page, dashboard, workflow)
        await row(page, "breaks").click()
        error = page.locator("#panel .error")
        await expect(error.locator(".message")).to_contain_text("JSONDecodeError: Expecting")
        await expect(error.locator(".message")).to_be_in_viewport()
        await expect(error.locator("pre.own")).to_contain_text("test_values.py")
        await expect(error.locator("pre.own")).to_contain_text("json.loads(")
        await expect(error.locator("pre.own")).not_to_contain_text("decoder.py")
        await expect(error.locator("pre", has_text="decoder.py")).to_be_hidden()
        await error.locator("summary", has_text="lines in libraries").click()
        await expect(error.locator("pre", has_text="decoder.py")).to_be_visible()
        assert await error.evaluate("(one) => one.scrollWidth <= one.clientWidth")
        await error.get_by_role("button", name="Copy").click()
        await expect(error.get_by_role("button", name="Copied")).to_be_visible()
        assert "Traceback (most" in await page.evaluate("navigator.clipboard.readText()")
