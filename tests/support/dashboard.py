"""The dashboard without a browser."""

import httpx
from starlette.types import ASGIApp

TOKEN = "a token for tests"


def browse(app: ASGIApp) -> httpx.AsyncClient:
    """Open a client that keeps cookies, as a browser does."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
