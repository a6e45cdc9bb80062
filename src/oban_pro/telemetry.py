"""Events about workflows, beside those of oban and through the same handlers.

Attach to them with `oban.telemetry.attach`:

- ``oban.workflow.inserted``: ``workflow_id``, ``name``, ``count`` of jobs. In a transaction of the
  caller's it is sent before that commits.
- ``oban.workflow.settled``: ``workflow_id``, ``name``, ``state``. Once for each time that a root
  workflow settles, whoever settled it, on one of the nodes that run queues.
- ``oban.workflow.grafted``: ``workflow_id`` of what was grafted, ``job``, ``count`` of jobs.
- ``oban.workflow.appended``: ``workflow_id``, ``count`` of jobs.
- ``oban.workflow.cancelled``, ``oban.workflow.retried``: ``workflow_id``, ``names``, ``count``.
- ``oban.workflow.repaired``: ``workflow_id``, ``count`` of rows that were wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import oban.telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENTS = (
    "oban.workflow.inserted",
    "oban.workflow.settled",
    "oban.workflow.grafted",
    "oban.workflow.appended",
    "oban.workflow.cancelled",
    "oban.workflow.retried",
    "oban.workflow.repaired",
)


def execute(event: str, metadata: Mapping[str, Any]) -> None:
    """Send an event to whoever attached to it."""
    oban.telemetry.execute(event, dict(metadata))
