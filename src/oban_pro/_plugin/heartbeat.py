"""``refresher.build``, ``producer.init``, ``producer.restore``: how long to wait for a heartbeat.

A node's settings are known to that node alone, and nodes may differ. So each producer is judged by
what it says itself, in the metadata beside its heartbeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from oban_pro import _host

if TYPE_CHECKING:
    from collections.abc import Callable

    from oban_pro._host import Producer, Query

type BuildRefresher = Callable[..., Any]
type Meta = Callable[[Producer], dict[str, Any]]

DEFAULT = 60.0
"""Seconds to wait for a node that does not say: oban's own default."""

_patience: WeakKeyDictionary[Query, float] = WeakKeyDictionary()


def build_refresher(fallback: BuildRefresher) -> BuildRefresher:
    """Build the hook that reads an instance's settings, in front of another one."""

    def build(config: dict[str, Any], **parts: Any) -> Any:
        refresher = fallback(config, **parts)
        interval, max_age = config.get("interval", 15.0), config.get("max_age", DEFAULT)
        # A heartbeat is missed when the one after it is due as well.
        _patience[parts["query"]] = max(max_age, 2 * interval)

        return refresher

    return build


def build_meta(fallback: Meta) -> Meta:
    """Build the hook that adds it to a producer's metadata, in front of another one."""

    def meta(producer: Producer) -> dict[str, Any]:
        patience = patience_of(_host.query_of(producer))

        return {**fallback(producer), "oban_workflows_patience": patience}

    return meta


def patience_of(query: Query) -> float:
    """Return for how many seconds the producers of an instance may be silent."""
    return _patience.get(query, DEFAULT)
