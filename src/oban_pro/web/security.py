"""What a page may do: nothing but look, unless its reader has the token."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "oban_workflows"
CSRF_HEADER = "X-CSRF-Token"

HEADERS = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class SecureHeaders:
    """Middleware that says with each response what a browser must not do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")

            await send(message)

        await self._app(scope, receive, send_secured)


class Guard:
    """Decides who may cancel and retry.

    A reader shows the token once and gets a cookie for it. Each request that changes something
    brings a second proof in a header, which a page of another site can neither read nor send. Both
    derive from the token: they hold in every process that serves the dashboard, and end with it.

    Args:
        token: What permits operations; None where nobody may.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    def accepts(self, token: str) -> bool:
        """Tell whether somebody knows the token."""
        return self._token is not None and _equal(token, self._token)

    def permits(self, request: Request) -> bool:
        """Tell whether the reader of a page has shown the token."""
        return self._token is not None and _equal(
            request.cookies.get(COOKIE, ""), self._prove("session")
        )

    def csrf_token(self, request: Request) -> str | None:
        """Return what a page must bring to change something; None where it may not."""
        return self._prove("csrf") if self.permits(request) else None

    def check(self, request: Request) -> None:
        """Refuse a request that may not change anything.

        Raises:
            HTTPException: 403, saying what is missing.
        """
        if self._token is None:
            raise HTTPException(403, "operations must be allowed where the dashboard is started")

        if not self.permits(request):
            raise HTTPException(403, "operations must be unlocked with the token")

        if not _equal(request.headers.get(CSRF_HEADER, ""), self._prove("csrf")):
            raise HTTPException(403, f"{CSRF_HEADER} must be that of the page; reload it")

    def remember(self, request: Request, response: Response) -> None:
        """Give a reader who knows the token the cookie for it."""
        response.set_cookie(
            COOKIE,
            self._prove("session"),
            path=request.scope.get("root_path") or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )

    def _prove(self, purpose: str) -> str:
        return hmac.digest((self._token or "").encode(), purpose.encode(), "sha256").hex()


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
