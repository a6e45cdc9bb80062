"""Ids of vertices: safe in every language that we draw in, unique, and close to the names."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SIMPLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")

# Keywords of mermaid's grammar.
_KEYWORDS = {
    *("call", "class", "classdef", "click", "default", "direction", "end", "flowchart", "graph"),
    *("href", "interpolate", "linkstyle", "style", "subgraph", "swimlane"),
}

# Names that every JavaScript object has, which mermaid's layout confuses with its own.
_INHERITED = {
    *("constructor", "hasownproperty", "isprototypeof", "propertyisenumerable", "prototype"),
    *("tolocalestring", "tostring", "valueof"),
}


class Ids:
    """Hands out unique ids."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._repeats: Counter[str] = Counter()

    def claim(self, group: str, names: Iterable[str]) -> dict[str, str]:
        """Choose an id for each name.

        A simple name of the outermost workflow is its own id.

        Args:
            group: The id of the group that the names are in, empty for the outermost.
            names: Distinct names.
        """
        bases = {name: _base(f"{group}_{name}" if group else name) for name in names}

        # Names that are kept come first, so that no made-up id takes one of them.
        kept_first = sorted(bases, key=lambda name: bases[name] != name)

        return {name: self._take(bases[name]) for name in kept_first}

    def _take(self, base: str) -> str:
        unique = base

        while unique in self._taken:
            self._repeats[base] += 1
            unique = f"{base}_{self._repeats[base] + 1}"

        self._taken.add(unique)

        return unique


def _base(path: str) -> str:
    base = path if _SIMPLE.fullmatch(path) else _UNSAFE.sub("_", path).strip("_")

    if not base[:1].isalpha():
        base = f"n{base}"

    return f"{base}_" if base.lower() in _KEYWORDS | _INHERITED else base
