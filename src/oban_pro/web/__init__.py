"""A dashboard for workflows, as an ASGI app. Needs the extra ``web``."""

from __future__ import annotations

from .app import create_app

__all__ = ["create_app"]
