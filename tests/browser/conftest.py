"""The dashboard in Debian's Chromium, served by the command line."""

import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)

from tests.support.cli import start_cli

# Other programs share the machine; what is there at once is seen at once.
expect.set_options(timeout=15_000)

CHROMIUM = shutil.which("chromium")
TOKEN = "a-token-for-tests"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as slow, and skip it where there is no browser."""
    missing = pytest.mark.skip(reason="needs Debian's package chromium")

    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
            # Each test starts a server and a browser, beside other programs.
            item.add_marker(pytest.mark.timeout(240))

            if CHROMIUM is None:
                item.add_marker(missing)


@contextmanager
def serve(dsn: str, folder: Path, *options: str) -> Iterator[str]:
    """Serve the dashboard, and yield its address."""
    server = start_cli("web", "--port", "0", *options, cwd=folder, dsn=dsn)
    assert server.stdout is not None

    try:
        yield server.stdout.readline().split()[-1].rstrip("/")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=20)
        server.stdout.close()


@pytest.fixture
def dashboard(dsn: str, tmp_path: Path) -> Iterator[str]:
    """Provide the address of a dashboard on the test's database, operations allowed."""
    with serve(dsn, tmp_path, "--allow-operations", "--token", TOKEN) as address:
        yield address


@pytest.fixture
async def browser(dashboard: str, tmp_path: Path) -> AsyncIterator[BrowserContext]:
    """Provide a browser with an empty profile."""
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            args=ARGUMENTS,
            viewport={"width": 1400, "height": 900},
        )
        yield context
        await context.close()


@pytest.fixture
async def page(browser: BrowserContext, dashboard: str) -> AsyncIterator[Page]:
    """Provide a page that must not log an error, nor ask any other server for anything."""
    page = await browser.new_page()
    wrong: list[str] = []

    def note_entry(entry: ConsoleMessage) -> None:
        if entry.type in ("error", "warning"):
            wrong.append(entry.text)

    def note_request(request: Request) -> None:
        if not request.url.startswith(dashboard):
            wrong.append(request.url)

    page.on("console", note_entry)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", note_request)
    yield page
    assert wrong == []


@pytest.fixture
async def unlocked(page: Page, dashboard: str) -> Page:
    """Provide a page whose reader has shown the token."""
    page.on("dialog", lambda dialog: dialog.accept())
    await page.goto(f"{dashboard}/unlock?token={TOKEN}")

    return page
