"""What hooks into oban: one module for each extension point, named after it.

oban has one slot for each point. Registering keeps the function that was in the slot, and calls it
for everything that is not ours. Registering twice changes nothing. Unregistering puts that function
back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban_pro import _host

from . import (
    ack_jobs,
    before_stage,
    executions,
    get_jobs,
    heartbeat,
    insert_jobs,
    notifier,
    oban_start,
    prune,
    queue_limits,
    rescue,
    validate,
    verify_structure,
    wrap_result,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_HOOKS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "notifier.build": (notifier.build, _host.default_build_notifier),
    "query.insert_jobs": (insert_jobs.build, _host.default_insert_jobs),
    "query.ack_jobs": (ack_jobs.build, _host.default_ack_jobs),
    "producer.get_jobs": (get_jobs.build, _host.default_get_jobs),
    "stager.before_stage": (before_stage.build, before_stage.nothing),
    "producer.init": (heartbeat.build_meta, _host.default_producer_meta),
    "producer.validate": (validate.build, _host.default_validate),
    "producer.scale": (queue_limits.build, _host.default_scale),
    "producer.restore": (heartbeat.build_meta, _host.default_producer_meta),
    "refresher.build": (heartbeat.build_refresher, _host.default_build_refresher),
    "lifeline.rescue": (rescue.build, _host.default_rescue),
    "pruner.build": (prune.build_pruner, _host.default_build_pruner),
    "pruner.prune": (prune.build, _host.default_prune),
    "executor.wrap_result": (wrap_result.build, wrap_result.unchanged),
}

_registered: dict[str, Callable[..., Any]] = {}
_previous: dict[str, Callable[..., Any]] = {}


def register() -> None:
    """Hook into oban, in front of whatever is hooked in already."""
    for name, (build, default) in _HOOKS.items():
        current = _host.get_ext(name, default)

        if name not in _registered or current is not _registered[name]:
            _previous[name] = current
            _registered[name] = build(current)
            _host.put_ext(name, _registered[name])

    _host.hook_methods()
    executions.hook()
    oban_start.hook()
    verify_structure.hook()


def unregister() -> None:
    """Unhook from oban. Slots that somebody else has taken over stay theirs."""
    for name, (_, default) in _HOOKS.items():
        hook = _registered.pop(name, None)

        if hook is None or _host.get_ext(name, default) is not hook:
            continue

        if _previous[name] is default:
            _host.drop_ext(name)
        else:
            _host.put_ext(name, _previous[name])

    _host.unhook_methods()
    executions.unhook()
    oban_start.unhook()
    verify_structure.unhook()
