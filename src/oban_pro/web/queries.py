"""Reading the query of a request; a field with a value that makes no sense counts as absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from .statements import Drawing, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_KEPT = 200
"""How many members of one group a page can ask for by their ids."""

MOST = 2**63 - 1


def number_of(text: str) -> int | None:
    """Read a number that fits a bigint."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def page_of(query: Mapping[str, str]) -> int:
    """Read which page of a list is asked for."""
    return min(number_of(query.get("page", "")) or 1, 1_000_000)


def keys_of(text: str) -> list[int]:
    """Read keys of groups, which are negative."""
    keys = [number_of(part.removeprefix("-")) for part in text.split(",")]

    return [-key for key in keys if key]


def drawing_of(query: Mapping[str, str]) -> Drawing:
    """Read what a reader has opened of a workflow, and where in it he is."""
    return Drawing(
        opened=keys_of(query.get("open", "")),
        shut=keys_of(query.get("shut", "")),
        windows=_windows_of(query.get("windows", "")),
        near=number_of(query.get("near", "")),
    )


def _windows_of(text: str) -> dict[int, Window]:
    """Read which members of large groups are drawn, as JSON: an object for each group."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return {}

    asked = found.items() if isinstance(found, dict) else ()

    return {key: _window_of(window) for group, window in asked for key in keys_of(group)}


def _window_of(asked: Any) -> Window:
    window: Window = {}

    if isinstance(asked, dict):
        for side in ("since", "after", "before"):
            if _is_id(asked.get(side)):
                window[side] = asked[side]

        if isinstance(asked.get("keep"), list):
            window["keep"] = [one for one in asked["keep"] if _is_id(one)][:MOST_KEPT]

    return window


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST
