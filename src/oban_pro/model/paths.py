r"""Paths: how members of a workflow are addressed, those of nested ones too.

The names on the way are separated by ``/``. In a name, ``/`` is written ``\/`` and ``\`` is written
``\\``; a name at the top of its workflow may also stand as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PART = re.compile(r"(?:\\[/\\]|[^/])*")
_ESCAPED = re.compile(r"\\([/\\])")
_SPECIAL = re.compile(r"[/\\]")


def split_path(path: str) -> tuple[str, ...]:
    r"""Return the names that a path is made of.

    Example:
        >>> split_path("reviews/legal"), split_path(r"a\/b/c\\d")
        (('reviews', 'legal'), ('a/b', 'c\\d'))
    """
    parts: list[str] = []
    start = 0

    while match := _PART.match(path, start):
        parts.append(_ESCAPED.sub(r"\1", match[0]))
        start = match.end() + 1

        if start > len(path):
            break

    return tuple(parts)


def join_path(names: Iterable[str]) -> str:
    r"""Return the path that is made of some names.

    Example:
        >>> join_path(["reviews", "legal"]), join_path(["a/b", "c"])
        ('reviews/legal', 'a\\/b/c')
    """
    return "/".join(_SPECIAL.sub(r"\\\g<0>", name) for name in names)


def is_path(name: str) -> bool:
    """Tell whether a name may mean a member of a nested workflow, or be spelled with escapes."""
    return _SPECIAL.search(name) is not None
