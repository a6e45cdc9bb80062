"""What pages say while the database cannot be asked."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from oban import Oban
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.conftest import serve
from tests.support.graphs import diamond
from tests.support.proxy import Proxy

LONG = 30_000
"""Milliseconds to wait at most for what has to time out first."""

GONE = re.compile(r"^the database cannot be reached, retrying.* · as of \d\d:\d\d:\d\d$")
LATE = re.compile(r"^(waiting for the server|the database .*) · as of \d\d:\d\d:\d\d$")


@pytest.fixture
async def line(dsn: str) -> AsyncIterator[Proxy]:
    """Provide the line between the dashboard and its database."""
    async with Proxy(dsn) as line:
        yield line


@pytest.fixture
async def dashboard(line: Proxy, tmp_path: Path) -> AsyncIterator[str]:
    """Provide the address of a dashboard at the end of the line, which this process serves."""
    server = serve(line.dsn, tmp_path)
    yield await asyncio.to_thread(server.__enter__)
    await asyncio.to_thread(server.__exit__, None, None, None)


@pytest.fixture
async def page(browser: BrowserContext) -> Page:
    """Provide a page, whose browser may log that a request failed."""
    return await browser.new_page()


def lose(line: Proxy) -> None:
    line.refuses = True
    line.cut()


class TestTrouble:
    @pytest.mark.parametrize("path", ["/", "/workflows/the-one"])
    async def test_is_named_with_the_time_of_the_last_answer_until_it_is_over(
        self, path: str, oban: Oban, page: Page, line: Proxy, dashboard: str
    ) -> None:
        await oban.enqueue_many(diamond(id="the-one"))
        await page.goto(dashboard + path)
        live = page.locator("#live")
        shown = page.locator("#table tbody tr, a.name").first
        await expect(shown).to_be_visible()
        await expect(live).to_have_text(re.compile("^(live|polling)$"))
        lose(line)
        await expect(live).to_have_text(GONE, timeout=LONG)
        await expect(shown).to_be_visible()
        line.refuses = False
        await expect(live).to_have_text(re.compile("^(live|polling)$"), timeout=LONG)

    async def test_is_named_where_nothing_comes_through(
        self, oban: Oban, page: Page, line: Proxy, dashboard: str
    ) -> None:
        await oban.enqueue_many(diamond(id="the-one"))
        await page.goto(f"{dashboard}/workflows/the-one")
        await expect(page.locator("#graph svg")).to_be_visible()
        line.stall()
        await expect(page.locator("#live")).to_have_text(LATE, timeout=LONG)
        line.flow()
        await expect(page.locator("#live")).to_have_text("live", timeout=LONG)

    async def test_of_a_page_that_is_opened_is_told_and_the_page_comes_by_itself(
        self, oban: Oban, page: Page, line: Proxy, dashboard: str
    ) -> None:
        await oban.enqueue_many(diamond(id="the-one"))
        lose(line)
        answer = await page.goto(dashboard)
        assert answer is not None
        assert answer.status == 503
        await expect(page.locator("main")).to_contain_text(
            "the database cannot be reached, retrying"
        )
        line.refuses = False
        await expect(page.locator("a.name")).to_have_count(1, timeout=LONG)
