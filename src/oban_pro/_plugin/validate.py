"""``producer.validate``: start no queue with unreadable settings or unknown options.

Otherwise each job would fail and use up its attempts, or a misspelt limit would have no effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban_pro import settings
from oban_pro.engine.dsn import check_dsn
from oban_pro.model.queue_limits import check_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

type Validate = Callable[..., None]


HOSTS = ("queue", "limit")
"""Options that oban knows itself."""


def others_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a queue that oban hands on."""
    return {name: value for name, value in options.items() if name not in HOSTS}


def build(fallback: Validate) -> Validate:
    """Build the hook, in front of another one."""

    def validate(**options: Any) -> None:
        settings.unknown_for()

        if dsn := settings.current().notify_dsn:
            check_dsn(dsn)

        fallback(**options)
        check_queue(options["queue"], others_of(options))

    return validate
