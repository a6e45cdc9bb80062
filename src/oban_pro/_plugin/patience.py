"""For how long the producers of an Oban instance may be silent before they count as dead."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from oban_pro._host import Query

DEFAULT = 60.0
"""Seconds that a node may be silent unless it says otherwise: oban's own default."""

_patience: WeakKeyDictionary[Query, float] = WeakKeyDictionary()


def note(query: Query, seconds: float) -> None:
    """Note how long the producers of an instance may be silent."""
    _patience[query] = seconds


def of(query: Query) -> float:
    """Return for how many seconds the producers of an instance may be silent."""
    return _patience.get(query, DEFAULT)
