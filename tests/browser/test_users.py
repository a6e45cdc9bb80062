"""The dashboard in an app with users, in Chromium."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from oban import Oban
from playwright.async_api import Page, expect

from oban_pro import Workflow
from tests.support.cli import environment
from tests.support.graphs import diamond
from tests.support.paths import ROOT


@pytest.fixture
def dashboard(dsn: str) -> Iterator[str]:
    """Provide the address of an app that has the dashboard below ``/workflows``."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.signed_in"],
        cwd=ROOT,
        env=environment(dsn),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert server.stdout is not None

    try:
        yield server.stdout.readline().strip()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=20)
        server.stdout.close()


async def test_shows_each_the_buttons_that_they_may_press(
    page: Page, dashboard: str, oban: Oban
) -> None:
    workflow = diamond(id="the-one")
    await oban.enqueue_many(workflow)
    page.on("dialog", lambda dialog: dialog.accept())
    there = f"{dashboard}/workflows/workflows/the-one"

    await page.goto(f"{dashboard}/login/bob")
    await page.goto(there)
    await expect(page.locator("#graph g.vertex").first).to_be_visible()
    await expect(page.locator("#retry")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)

    await page.goto(f"{dashboard}/login/ada")
    await page.goto(there)
    await page.locator("#cancel").click()
    await expect(page.locator("#said")).to_have_text("Cancelled 4 jobs.")
    assert (await Workflow(id="the-one").status()).state == "cancelled"
