"""``oban-workflows health``."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import click
from psycopg import Error
from psycopg.errors import FeatureNotSupported

from oban_pro import schema
from oban_pro.cli.console import echo_json, json_option
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import CommandFailure
from oban_pro.engine.connecting import open_connection
from oban_pro.engine.store import Store
from oban_pro.errors import SchemaError
from oban_pro.model.wording import human_duration, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oban_pro.engine.results import Pulse, Serving

OVERDUE = 60.0
"""Seconds without a leader, or without a look for dead nodes, that count as a fault."""


class Check(NamedTuple):
    """A check: its name, whether it passed, and a sentence that says so."""

    name: str
    ok: bool
    text: str


@click.command()
@click.option(
    "--node",
    envvar="OBAN_NODE",
    help="Only this node (default: OBAN_NODE, or else all nodes together).",
)
@click.option("--queue", help="Also that this queue is served, and not paused.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds to wait for the database.",
)
@json_option
@database_options
def health(
    *, database: Database, node: str | None, queue: str | None, timeout: float, as_json: bool
) -> None:
    """Tell whether workflows run: for probes and monitors.

    Healthy is: the database answers, the tables are those of this version, a node
    has sent its heartbeat, one leads, and nodes look for dead ones. Of a single
    node the last two are not asked. Exits with 0 if all is well, else with 1.
    """
    checks = asyncio.run(_check(database, node, queue, timeout))
    failed = [check.text for check in checks if not check.ok]

    if as_json:
        echo_json({"healthy": not failed, "checks": [check._asdict() for check in checks]})
        sys.exit(1 if failed else 0)

    if failed:
        raise CommandFailure(f"unhealthy: {'; '.join(failed)}")

    told = [check.text for check in checks if check.name in ("nodes", "queue", "leader")]
    click.echo(visible(f"Healthy: {'; '.join(told)}."))


async def _check(
    database: Database, node: str | None, queue: str | None, seconds: float
) -> list[Check]:
    """Run the checks in order; stop at the first failure that leaves the others unknown."""
    checks: list[Check] = []

    try:
        async with asyncio.timeout(seconds):
            await _look(checks, database, node, queue)
    except TimeoutError:
        text = f"the database does not answer within {seconds:g} seconds"
        checks.append(Check("database", False, text))
    except FeatureNotSupported:
        text = "the database is a standby, which does not know of nodes; ask the primary"
        checks.append(Check("nodes", False, text))
    except Error as error:
        text = f"the database cannot be used: {' '.join(str(error).split())}"
        checks.append(Check("database", False, text))

    return checks


async def _look(
    checks: list[Check], database: Database, node: str | None, queue: str | None
) -> None:
    async with open_connection(database.dsn) as conn:
        checks.append(Check("database", True, "the database answers"))

        try:
            await schema.verify(conn, database.prefix)
        except SchemaError as error:
            checks.append(Check("schema", False, str(error)))
            return

        checks.append(Check("schema", True, f"the tables are at version {schema.VERSION}"))
        store = Store(conn, database.prefix)
        serving = await store.serving()
        checks.append(_judge_nodes(serving, node))

        if queue is not None:
            checks.append(_judge_queue(serving, node, queue))

        if node is None:
            pulse = await store.pulse()
            checks += [_judge_leader(pulse), _judge_looks(pulse)]


def _judge_nodes(serving: Sequence[Serving], node: str | None) -> Check:
    here = [one for one in serving if _is_of(node, one)]
    alive = [one for one in here if one.is_alive]

    if alive and node is not None:
        return Check("nodes", True, f"node {node} serves {_names(one.queue for one in alive)}")

    if alive:
        count = len({one.node for one in alive})
        nodes = "1 node serves" if count == 1 else f"{count} nodes serve"

        return Check("nodes", True, f"{nodes} {_names(one.queue for one in alive)}")

    if not here:
        text = "no node serves a queue" if node is None else f"node {node} serves no queue"

        return Check("nodes", False, text)

    silence = human_duration(timedelta(seconds=min(one.silence for one in here)))

    if node is None:
        return Check("nodes", False, f"no node is alive, the last heartbeat came {silence} ago")

    return Check("nodes", False, f"node {node} sent its last heartbeat {silence} ago")


def _judge_queue(serving: Sequence[Serving], node: str | None, queue: str) -> Check:
    alive = [one for one in serving if one.queue == queue and one.is_alive and _is_of(node, one)]

    if not alive:
        subject = "no node serves" if node is None else f"node {node} does not serve"

        return Check("queue", False, f"{subject} queue {queue}")

    if all(one.is_paused for one in alive):
        where = "on every node" if node is None else f"on node {node}"

        return Check("queue", False, f"queue {queue} is paused {where}")

    return Check("queue", True, f"queue {queue} is served by {_names(one.node for one in alive)}")


def _is_of(node: str | None, one: Serving) -> bool:
    """Tell whether a producer belongs to a node, or to a process of ``start --processes``."""
    name, _, process = one.node.rpartition(".")

    return node in (None, one.node) or (node == name and process.isdigit())


def _judge_leader(pulse: Pulse) -> Check:
    if pulse.leader is None or pulse.overdue is None:
        return Check("leader", False, "no node leads")

    if pulse.overdue > OVERDUE:
        since = human_duration(timedelta(seconds=pulse.overdue))

        return Check("leader", False, f"no node has led for {since}")

    return Check("leader", True, f"node {pulse.leader} leads")


def _judge_looks(pulse: Pulse) -> Check:
    if pulse.unheard is None:
        return Check("looks", False, "no node looks for dead ones")

    since = human_duration(timedelta(seconds=max(0.0, pulse.unheard)))

    if pulse.unheard > OVERDUE:
        return Check("looks", False, f"no node has looked for dead ones for {since}")

    return Check("looks", True, f"a node looked for dead ones {since} ago")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted({*names}))
