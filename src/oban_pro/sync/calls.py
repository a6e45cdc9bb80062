"""Enqueueing, signalling and searching in blocking code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from oban import Job

from oban_pro import _host
from oban_pro._plugin.insert_jobs import insert_through
from oban_pro.blocking import iterate, run
from oban_pro.engine.caller_session import session_at
from oban_pro.engine.session import session_for
from oban_pro.handles import searching, signalling

from .twins import Handle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oban_pro.engine.session import Session
    from oban_pro.engine.store import Store
    from oban_pro.engine.synchronous import Caller
    from oban_pro.handles.searching import FilterOptions


def enqueue(
    workflow_or_jobs: Iterable[Job] | Job,
    conn: Caller | str | None = None,
    prefix: str = "public",
    *,
    oban: str = "Oban",
) -> list[Job]:
    """Insert a workflow, or jobs, in the transaction of the caller.

    They run once that commits, which wakes the nodes. A connection in autocommit mode gets a
    transaction of its own, which has committed when the call returns.

    Args:
        workflow_or_jobs: A workflow, a job, or jobs; of several workflows ``[*one, *two]``.
        conn: A blocking connection: psycopg's, a `Connection` or `Session` of SQLAlchemy, Django's
            ``connection``; or a DSN, to which one is opened. By default one is opened with the
            settings of an Oban instance of this process, as inside a job.
        prefix: The schema of the tables, where a connection is given.
        oban: The name of the Oban instance, where none is.

    Returns:
        The jobs with their ids and states; of a workflow whose id exists, those that it has.

    Raises:
        InvalidArgumentError: If the connection is asynchronous, or leads to no psycopg 3.
        SchemaError: If the tables of workflows are not installed.

    Example:
        >>> with transaction.atomic():
        ...     order = Order.objects.create(item="pen")
        ...     sync.enqueue(build(order), connection)
    """
    jobs = [workflow_or_jobs] if isinstance(workflow_or_jobs, Job) else [*workflow_or_jobs]

    if _host.runs_inline():
        return _host.run_inline(jobs)

    return run(insert_through(_session(conn, prefix, oban), jobs))


def signal(
    job: int | Iterable[int],
    payload: object = None,
    *,
    name: str | None = None,
    by: str | None = None,
    conn: Caller | str | None = None,
    prefix: str = "public",
    oban: str = "Oban",
) -> int:
    """Send a signal to a job, of a workflow or not, for its calls of `await_signal`.

    Args:
        job: The id of the job, or several ids.
        payload: What the call returns; anything that a cascade may return.
        name: Of the calls that it is for; by default of those without a name.
        by: Who sends it.
        conn: A connection or a DSN, as for `enqueue`.
        prefix: The schema of the tables, where a connection is given.
        oban: The name of the Oban instance, where none is.

    Returns:
        How many jobs took it: none that has settled.

    Raises:
        UnknownJobError: If there is no such job. Of several ids, an unknown one counts as 0.
        InvalidSignalError: If the job is a wait, and the payload is none of its choices.

    Example:
        >>> sync.signal(job.id, {"decision": "yes"}, by="ada", conn=connection)
        1
    """
    place = _session(conn, prefix, oban)

    return run(signalling.send_to_jobs(place, job, payload, name=name, by=by))


def search(
    conn: Caller | str, prefix: str = "public", **filters: Unpack[FilterOptions]
) -> Iterator[Handle]:
    """Find root workflows, newest first.

    It reads 500 at a time, as the loop goes on.

    Args:
        conn: A connection or a DSN, as for `Handle`.
        prefix: The schema of the tables.
        filters: ``name``, ``state``, ``attributes``, ``since`` and ``until``, as for
            `oban_pro.Workflow.search`.

    Returns:
        Handles on the same connection.

    Raises:
        InvalidArgumentError: If a filter has the wrong type, or ``conn`` is no connection.
        InvalidOptionError: If there is no such state.

    Example:
        >>> [one.id for one in sync.search(connection, name="order", state="discarded")]
        ['order-17']
    """
    found = searching.search(session_at(conn, prefix), searching.check_filters(**filters))

    return (Handle(id, conn, prefix) for id in iterate(found))


def _session(conn: Caller | str | None, prefix: str, oban: str) -> Session[Store]:
    return session_for(oban) if conn is None else session_at(conn, prefix)
