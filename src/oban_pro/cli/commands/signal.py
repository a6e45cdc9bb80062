"""``oban-workflows signal``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from oban_pro.cli.client import connected, handle, run, status_of
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import CommandFailure
from oban_pro.model.wording import SETTLED, visible

if TYPE_CHECKING:
    from oban_pro.model.explanation import Explanation


@click.command()
@click.argument("id")
@click.argument("path")
@click.argument("payload", metavar="[JSON]", required=False)
@click.option("--by", help="Who sends it; needed where a wait has a count.")
@click.option("--reject", "reason", metavar="REASON", help="Refuse the wait: cancel it.")
@click.option("--name", help="Of the calls of await_signal that it is for.")
@database_options
def signal(
    *,
    database: Database,
    id: str,
    path: str,
    payload: str | None,
    by: str | None,
    reason: str | None,
    name: str | None,
) -> None:
    """Send a signal to a wait of the workflow ID.

    JSON is what it carries, by default null. PATH is the name of a wait, or a path to a nested one:
    reviews/legal. That of a group means all waits in it; that of a job which has called
    await_signal, the job. If nothing takes the signal, the command says why and fails.
    """
    if reason is not None and (payload is not None or name is not None):
        raise click.UsageError("--reject goes with neither JSON nor --name")

    if reason is not None:
        count = run(_reject(database, id, path, reason, by))
        text = "Rejected"
    else:
        count = run(_send(database, id, path, _parse(payload), name=name, by=by))
        text = "Signalled"

    click.echo(f"{text} {count} {'wait' if count == 1 else 'waits'} of workflow {visible(id)}.")


def _parse(payload: str | None) -> Any:
    if payload is None:
        return None

    try:
        return json.loads(payload, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise CommandFailure(f"payload must be JSON, got {payload!r}") from None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


async def _send(
    database: Database, id: str, path: str, payload: Any, *, name: str | None, by: str | None
) -> int:
    async with connected(database):
        await status_of(id)
        count = await handle(id).signal(path, payload, name=name, by=by)

        return count or await _explain(id, path, by)


async def _reject(database: Database, id: str, path: str, reason: str, by: str | None) -> int:
    async with connected(database):
        await status_of(id)
        count = await handle(id).reject(path, reason, by=by)

        return count or await _explain(id, path, None)


async def _explain(id: str, path: str, by: str | None) -> int:
    """Say why nothing took what was sent.

    Raises:
        CommandFailure: Always.
    """
    explanation = await handle(id).explain(path)
    raise CommandFailure(f"nothing took it: {_why(explanation, by)}")


def _why(explanation: Explanation, by: str | None) -> str:
    subject = explanation.subject

    if subject.kind != "job":
        return f"no wait in {subject.label} is left that needs it"

    if subject.state in SETTLED:
        return explanation.summary

    if by is not None and subject.wait is not None and by in subject.wait.senders:
        return f"{subject.label} has a signal of {by!r} already"

    return f"{subject.label} has what it needs"
