"""How states of jobs are drawn: their colours, and bars made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

STYLES = {
    "completed": "green",
    "executing": "yellow",
    "available": "blue",
    "scheduled": "cyan",
    "retryable": "magenta",
    "suspended": "bright_black",
    "cancelled": "red",
    "discarded": "bold red",
}
"""Every state of a job, in the order in which a bar shows them."""


def draw_bar(counts: Mapping[str, int], width: int) -> Text:
    """Share out the width of a bar; rounding up and down evens out over the states."""
    total = sum(counts.values())
    bar = Text()
    seen = drawn = 0

    for state, style in STYLES.items():
        seen += counts.get(state, 0)
        end = round(seen * width / total) if total else 0
        bar.append("━" * (end - drawn), style=style)
        drawn = end

    return bar


def draw_legend(counts: Mapping[str, int], *, without: str | None = None) -> Text:
    """Say in words how many jobs are in each state."""
    present = [
        (f"{counts[state]} {state}", style)
        for state, style in STYLES.items()
        if counts.get(state) and state != without
    ]

    return Text("  ").join(Text(text, style=style) for text, style in present)


def draw_state(state: str) -> Text:
    """Write a state in its colour."""
    return Text(state, style=STYLES.get(state, ""))
