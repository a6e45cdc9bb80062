"""A dashboard for workflows, as an ASGI app. Needs the extra ``web``."""

from __future__ import annotations

try:
    from .app import create_app
except ImportError as error:
    raise ImportError(
        f"extra 'web' must be installed, as in pip install 'oban-workflows[web]', got: {error}"
    ) from error

__all__ = ["create_app"]
