"""An app with a login, in which the dashboard is mounted.

Run it as ``python -m tests.support.signed_in``; it prints its address. Open ``/login/NAME`` to sign
in.
"""

import os
import socket

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

from oban_pro.web import create_app


def make_app(dsn: str) -> FastAPI:
    """Make the app. ada may do everything, bob may only retry."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="for tests")

    @app.get("/login/{name}")
    async def sign_in(name: str, request: Request) -> RedirectResponse:
        request.session["user"] = name

        return RedirectResponse("/workflows/", 303)

    dashboard = create_app(
        dsn,
        allow_operations=True,
        user=lambda request: request.session.get("user"),
        may=lambda user, action, workflow_id: user == "ada" or action == "retry",
    )
    app.mount("/workflows", dashboard)

    return app


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)  # noqa: T201
    config = uvicorn.Config(
        make_app(os.environ["OBAN_DSN"]), log_level="warning", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listening])
