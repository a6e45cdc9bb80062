"""Jobs in drawings: what their labels say, and their colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oban_pro.model.wording import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INK = "#111827"

FILLS = {
    "suspended": "#e5e7eb",
    "scheduled": "#ddd6fe",
    "available": "#dbeafe",
    "executing": "#fde68a",
    "skipped": "#ecfdf5",
    "retryable": "#fed7aa",
    "completed": "#bbf7d0",
    "cancelled": "#d6d3d1",
    "discarded": "#fecaca",
}


@dataclass(frozen=True, slots=True)
class Vertex:
    """A job in a drawing.

    Args:
        name: The name it was added under.
        worker: The class name of its worker, or the name of its cascade function. None where it is
            not known: the row was deleted, or the name is a dependency that nobody added yet.
        state: Its state, in a graph that was fetched from the database.
        is_wait: Whether nobody runs it: it waits for signals, or for a time. Drawn as a hexagon.
        needs: How many of its dependencies it needs, where that is not all: ``"2 of 4"``.
        is_final: Whether it is a final job. Drawn with round ends.
    """

    name: str
    worker: str | None = None
    state: str | None = None
    is_wait: bool = False
    needs: str | None = None
    is_final: bool = False

    @property
    def fill(self) -> str | None:
        """The colour of its state."""
        return FILLS.get(self.state or "")

    def label(self, escape: Callable[[str], str]) -> Iterator[str]:
        """Return its label as lines: name and worker, then what it needs, and its state.

        Args:
            escape: Makes a text harmless in the language that is drawn in.
        """
        name = escape(self.name)
        yield name if self.worker is None else f"{name} ({escape(self.worker)})"

        if self.needs is not None:
            yield f"needs {self.needs}"

        if self.state is not None:
            yield escape(self.state)


def visible_lines(text: str) -> Iterator[str]:
    r"""Split a text at newlines, and escape other characters that are not printable, as ``\t``."""
    return map(visible, text.split("\n"))
