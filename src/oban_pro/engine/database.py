"""Where the database is, for functions that connect to it themselves."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from oban import current_job
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from oban_pro import _host
from oban_pro.errors import InvalidDsnError

from .dsn import check_dsn

if TYPE_CHECKING:
    from oban_pro._host import Query


def dsn(oban: str = "Oban") -> str:
    """Return the connection string of the database that holds the jobs, for a connection of yours.

    Inside a job, in an ``async def`` and in a ``def``, it is that of the node that runs the job.
    Elsewhere it is that of the Oban instance of this process; without one, what `oban start` would
    take: ``OBAN_DSN`` of the environment, or ``dsn`` in oban.toml.

    Args:
        oban: The name of the Oban instance, outside of jobs.

    Returns:
        What ``psycopg.connect`` takes. It may hold a password.

    Raises:
        InvalidDsnError: If none is known, or the pool computes it anew for each connection.

    Example:
        >>> def load(rows: list[Row]) -> int:
        ...     with psycopg.connect(oban_pro.dsn()) as conn:
        ...         ...
    """
    job = current_job()
    query = None if job is None else _host.query_running(job)

    if query is None:
        with suppress(RuntimeError):
            query = _host.query_named(oban)

    if query is not None:
        return _dsn_of(query)

    configured = _host.Config.load().dsn

    if not configured:
        raise InvalidDsnError(
            "a connection string must be known: inside a job, in a process with an Oban instance"
            f" named {oban!r}, in the variable OBAN_DSN, or as dsn in oban.toml"
        )

    check_dsn(configured)

    return str(configured)


def _dsn_of(query: Query) -> str:
    pool = _host.pool_of(query)

    if not isinstance(pool.conninfo, str) or callable(pool.kwargs):
        raise InvalidDsnError(
            "the pool of the Oban instance computes how to connect, so there is no one connection"
            " string; call what computes it"
        )

    options = {option.keyword.decode() for option in Conninfo.get_defaults()}
    given = {key: value for key, value in (pool.kwargs or {}).items() if key in options}

    return make_conninfo(**{**conninfo_to_dict(pool.conninfo), **given})
