"""Drawing states of jobs: their colours, and bars made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from oban_pro.model.wording import SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

STYLES = {
    "completed": "green",
    "skipped": "dim green",
    "executing": "yellow",
    "retryable": "magenta",
    "available": "blue",
    "scheduled": "cyan",
    "suspended": "bright_black",
    "cancelled": "red",
    "discarded": "bold red",
}
"""The colour of each state."""


def draw_bar(counts: Mapping[str, int], width: int) -> Text:
    """Share out the width of a bar; rounding up and down evens out over the states."""
    total = sum(counts.values())
    bar = Text()
    seen = drawn = 0

    for state in SHOWN:
        seen += counts.get(state, 0)
        end = round(seen * width / total) if total else 0
        bar.append("━" * (end - drawn), style=STYLES[state])
        drawn = end

    return bar


def draw_legend(
    counts: Mapping[str, int],
    *,
    without: str | None = None,
    waits: int = 0,
    paused: bool = False,
    limit: int | None = None,
) -> Text:
    """Say how many jobs are in each state, how many listen for signals, a pause, and a limit."""
    present = [
        (f"{counts[state]} {state}", STYLES[state])
        for state in SHOWN
        if counts.get(state) and state != without
    ]

    if waits:
        present.append((f"{waits} {'waits' if waits == 1 else 'wait'} for a signal", "cyan"))

    if paused:
        present.append(("paused", "bold"))

    if limit is not None:
        present.append((f"at most {limit:,} at once", "bright_black"))

    return Text("  ").join(Text(text, style=style) for text, style in present)


def draw_state(state: str) -> Text:
    """Write a state in its colour."""
    return Text(state, style=STYLES.get(state, ""))
