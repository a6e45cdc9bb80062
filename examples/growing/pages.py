"""Import page by page: each page says whether there is a next one, and grafts it."""

from __future__ import annotations

import sys
from typing import Any

from oban_pro import Workflow

type Context = dict[str, Any]


def fetch(cursor: int, size: int) -> tuple[list[str], int | None]:
    """Stand for a remote listing: a page of names, and where the next one begins."""
    names = sorted(sys.stdlib_module_names)
    following = cursor + size

    return names[cursor:following], following if following < len(names) else None


def import_page(context: Context) -> Workflow:
    """Graft a job for each entry of a page, and beside them the next page."""
    names, following = fetch(context["cursor"], context["size"])
    page = Workflow().add_cascade("modules", (names, import_module))

    if following is not None:
        page.add_context({"cursor": following}).add_graft("next", import_page)

    return page


def import_module(name: str, context: Context) -> str:
    return name.upper()


def total(context: Context) -> dict[str, int]:
    """Walk from page to page: each holds the next, as they were grafted."""
    pages = modules = 0
    page = context["pages"]

    while page:
        pages += 1
        modules += len(page["modules"])
        page = page.get("next")

    return {"pages": pages, "modules": modules}


def build(size: int = 50) -> Workflow:
    """Build the import, with so many entries a page."""
    return (
        Workflow(name="pages")
        .add_context({"cursor": 0, "size": size})
        .add_graft("pages", import_page)
        .add_cascade("total", total, deps="pages")
    )
