"""``producer.scale``: limits that a producer announces for its queue, over all nodes.

The database enforces them: whichever producer takes jobs, it gets no more than the strictest
announced limit allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban_pro import _host
from oban_pro.model.queue_limits import OPTIONS, check_queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from oban_pro._host import Producer

type Scale = Callable[..., dict[str, Any]]


def announced_by(producer: Producer) -> dict[str, Any]:
    """Return what a producer adds to its metadata: the limits of its queue."""
    return check_queue(_host.queue_of(producer), _host.options_of(producer))


def build(fallback: Scale) -> Scale:
    """Build the hook that lets limits be scaled as well, in front of another one."""

    def scale(producer: Producer, **options: Any) -> dict[str, Any]:
        meta = fallback(producer, **options)
        given = {name: options[name] for name in OPTIONS if name in options}

        if not given:
            return meta

        _host.options_of(producer).update(given)
        nothing = dict.fromkeys(OPTIONS)

        return {**meta, **nothing, **announced_by(producer)}

    return scale
