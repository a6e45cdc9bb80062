"""What a page may do: only look, unless its reader has the token."""

from __future__ import annotations

import hmac
import re
from ipaddress import ip_address
from time import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

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
            "worker-src 'self'",
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


LIFETIME = 24 * 60 * 60
"""Seconds for which a reader who has shown the token may act."""


class SecureHeaders:
    """Middleware that says with each response what a browser must not do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure(MutableHeaders(scope=message))

            await send(message)

        await self._app(scope, receive, send_secured)


def secure(headers: MutableHeaders) -> None:
    """Say in the headers of a response what a browser must not do with it."""
    headers.update(HEADERS)
    headers.setdefault("Cache-Control", "no-store")


class KnownHosts:
    """Middleware that refuses requests under a name that is not the dashboard's.

    A page elsewhere can let its own name lead here, and would then read what is shown. It cannot do
    so with an address, so addresses are always known, as is localhost.

    Args:
        app: What serves the requests under known names.
        names: Further names; ``"*"`` for any.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http" and not self._knows(Headers(scope=scope).get("host", "")):
            answer = PlainTextResponse(UNKNOWN_HOST, 400)
            secure(answer.headers)
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _knows(self, host: str) -> bool:
        name = re.sub(r":\d*$", "", host).lower().rstrip(".")

        return "*" in self._names or name in self._names or _is_address(name.strip("[]"))


UNKNOWN_HOST = """\
The dashboard is not known under this name.
Start it with --allow-host and the name, if it is to be.
"""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False

    return True


class Guard:
    """Decides who may cancel and retry.

    A reader shows the token once and gets a cookie for it, good for a day. Each request that
    changes something brings a second proof in a header, which a page of another site can neither
    read nor send. Both derive from the token: they hold in every process that serves the dashboard,
    and end with it. Without a token it lets every reader through, and the proof is no secret: what
    keeps other sites out is that browsers ask before they send such a header elsewhere.

    Args:
        token: What a reader must show; None where the app decides by itself who may act.
        is_open: Whether anybody may act at all.
    """

    def __init__(self, token: str | None, *, is_open: bool) -> None:
        self._token = token
        self._is_open = is_open

    def accepts(self, token: str) -> bool:
        """Tell whether somebody knows the token."""
        return self._is_open and self._token is not None and _equal(token, self._token)

    def permits(self, request: Request) -> bool:
        """Tell whether the reader of a page has shown the token, where one is needed."""
        if not self._is_open or self._token is None:
            return self._is_open

        expires, _, proof = request.cookies.get(COOKIE, "").partition(".")

        return _equal(proof, self._prove(f"session until {expires}")) and int(expires) > time()

    def csrf_token(self, request: Request) -> str | None:
        """Return what a page must bring to change something; None where it may not."""
        return self._prove("csrf") if self.permits(request) else None

    def check(self, request: Request) -> None:
        """Refuse a request that may not change anything.

        Raises:
            HTTPException: 403, saying what is missing.
        """
        if not self._is_open:
            raise HTTPException(403, "operations must be allowed where the dashboard is started")

        if not self.permits(request):
            raise HTTPException(403, "operations must be unlocked with the token")

        if not _equal(request.headers.get(CSRF_HEADER, ""), self._prove("csrf")):
            raise HTTPException(403, f"{CSRF_HEADER} must be that of the page; reload it")

        # Says also what an app lets in that permits any site to send any header.
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise HTTPException(403, "the request must come from a page of the dashboard")

    def remember(self, request: Request, response: Response) -> None:
        """Give a reader who knows the token the cookie for it."""
        expires = int(time()) + LIFETIME
        response.set_cookie(
            COOKIE,
            f"{expires}.{self._prove(f'session until {expires}')}",
            max_age=LIFETIME,
            path=request.scope.get("root_path") or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )

    def _prove(self, purpose: str) -> str:
        return hmac.digest((self._token or "").encode(), purpose.encode(), "sha256").hex()


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
