"""Installation of the tables and functions that run workflows, beside those of oban."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import oban.schema
from psycopg import DatabaseError
from psycopg.errors import (
    InsufficientPrivilege,
    ReadOnlySqlTransaction,
    UndefinedFunction,
    UndefinedTable,
)

from . import _host, rights, sql
from .errors import ReadOnlyError, SchemaError, SchemaLockedError, SchemaVersionError
from .sql import installing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import AsyncConnection
    from psycopg.errors import Diagnostic

VERSION = installing.VERSION
"""The version of the tables that this package works with."""

MISSING = (SchemaError, UndefinedFunction, UndefinedTable)
"""Errors that mean that the schema is not installed, or was removed since it was checked."""

logger = logging.getLogger(__name__)

_REFUSALS = {
    "OBW01": SchemaError,
    "OBW02": SchemaVersionError,
    "OBW03": SchemaLockedError,
    "OBW04": SchemaError,
}

_NOTICE = "oban-workflows: "

LARGE = 64 * 2**20
"""Size in bytes from which reading a table takes longer than anybody should wait for a lock."""

TRIES = 20
"""How often the installation tries again to get its locks."""

TRY_INTERVAL = 0.3
"""Seconds until the next try."""

# Instances whose schema was found to fit; other answers are not kept.
_verified: WeakSet[_host.Query] = WeakSet()


def install_sql(prefix: str = "public", *, force: bool = False) -> str:
    """Get the SQL that installs or upgrades everything workflows need.

    Creates the schema and oban's own tables where they are missing. Applying it again changes
    nothing. It is meant for migration frameworks; run it in one transaction, as the last step of
    that: the locks it takes last until the commit.

    Args:
        prefix: PostgreSQL schema where oban's tables are, or will be (default: "public").
        force: Put the functions of this package in place, even of an older one (default: False).

    Returns:
        Several SQL statements, in one string.

    Raises:
        ValueError: If the prefix is not a plain lower-case schema name.

    Example (Alembic):
        >>> def upgrade():
        ...     op.execute(oban_pro.schema.install_sql())
    """
    made_by_oban = oban.schema.install_sql(sql.check_prefix(prefix))

    grants: dict[str, str] = {kind: rights.of(kind, prefix) for kind in rights.KINDS}

    return installing.install(prefix, _package(), made_by_oban, grants, force=force)


def grants_sql(
    prefix: str = "public",
    *,
    workers: Iterable[str] = (),
    enqueuers: Iterable[str] = (),
    readers: Iterable[str] = (),
) -> str:
    """Get the SQL that grants roles what they need; applying it again changes nothing.

    Args:
        prefix: PostgreSQL schema of the tables (default: "public").
        workers: Roles of nodes, and of whoever cancels, retries and repairs.
        enqueuers: Roles that only enqueue and append.
        readers: Roles that only look.

    Returns:
        Several SQL statements, in one string.

    Example (Alembic):
        >>> def upgrade():
        ...     op.execute(oban_pro.schema.grants_sql(workers=["shop"], readers=["support"]))
    """
    roles = (workers, enqueuers, readers)

    return "\n".join(
        rights.to(kind, prefix, names) for kind, names in zip(rights.KINDS, roles, strict=True)
    )


def uninstall_sql(prefix: str = "public") -> str:
    """Get the SQL that removes what `install_sql` made, except oban's own tables.

    Jobs stay; suspended ones of unfinished workflows are no longer released. Run it as the last
    step of a transaction: the locks it takes last until the commit.

    Args:
        prefix: PostgreSQL schema that was installed into (default: "public").

    Returns:
        Several SQL statements, in one string.

    Example (Alembic):
        >>> def downgrade():
        ...     op.execute(oban_pro.schema.uninstall_sql())
    """
    return installing.uninstall(prefix)


async def install(
    pool: Any,
    prefix: str = "public",
    *,
    workers: Iterable[str] = (),
    enqueuers: Iterable[str] = (),
    readers: Iterable[str] = (),
    force: bool = False,
) -> list[str]:
    """Install or upgrade everything workflows need, in one transaction.

    Creates the schema and oban's own tables where they are missing. What exists is left as it is.
    Roles with rights on ``oban_jobs`` get the matching rights on the new tables. Safe to repeat,
    also at the same time from several places, and beside nodes that run: it waits for locks for
    200 ms, lets others pass, and tries again, 20 times.

    Args:
        pool: A database connection pool (e.g., AsyncConnectionPool).
        prefix: PostgreSQL schema where oban's tables are, or will be (default: "public").
        workers: Roles to grant what `grants_sql` does, besides.
        enqueuers: Likewise.
        readers: Likewise.
        force: Put the functions of this package in place, even of an older one (default: False).

    Returns:
        Which roles got rights because of those they had, a line each.

    Raises:
        MissingRightError: If the role of the connections may not install here.
        SchemaError: If the schema holds a foreign ``oban_workflows``, or hides jobs from the owner
            of the tables.
        SchemaLockedError: If somebody holds a table that has to be changed, saying who.
        SchemaVersionError: If the schema, or what is installed in it, is newer than this package.
        ValueError: If the prefix is not a plain lower-case schema name.

    Example:
        >>> pool = await Oban.create_pool("postgresql://localhost/mydb")
        >>> await oban_pro.schema.install(pool)
    """
    statements = install_sql(prefix, force=force)
    grants = grants_sql(prefix, workers=workers, enqueuers=enqueuers, readers=readers)

    async with pool.connection() as conn, _host.autocommit(conn):
        await _build_indexes(conn, prefix)

    return await _execute(pool, prefix, f"{statements}\n{grants}")


async def upgrade(pool: Any, prefix: str = "public", *, force: bool = False) -> None:
    """Bring an installation up to this package's version; the same as `install`.

    Args:
        pool: A database connection pool (e.g., AsyncConnectionPool).
        prefix: PostgreSQL schema where oban's tables are (default: "public").
        force: Put the functions of this package in place, even of an older one (default: False).

    Raises:
        SchemaError: If the schema holds a foreign ``oban_workflows``.
        SchemaLockedError: If somebody holds a table that has to be changed, saying who.
        SchemaVersionError: If the schema, or what is installed in it, is newer than this package.

    Example:
        >>> await oban_pro.schema.upgrade(pool)
    """
    await install(pool, prefix, force=force)


async def create_web_indexes(pool: Any, prefix: str = "public") -> None:
    """Create the indexes that keep Oban Web's pages of workflows fast.

    They are optional, as they make inserting the jobs of workflows a fifth slower. Jobs can be
    inserted and run while it builds them. Safe to repeat; `uninstall` removes them.

    Args:
        pool: A database connection pool (e.g., AsyncConnectionPool).
        prefix: PostgreSQL schema where oban's tables are (default: "public").

    Example:
        >>> await oban_pro.schema.create_web_indexes(pool)
    """
    # Without a transaction, as building an index beside writers demands.
    async with pool.connection() as conn, _host.autocommit(conn):
        for name in ("web_index_workflow", "web_index_sup_workflow"):
            await conn.execute(sql.statement(f"queries/{name}", prefix).encode())


async def uninstall(pool: Any, prefix: str = "public") -> None:
    """Remove what `install` made, except oban's own tables.

    Args:
        pool: A database connection pool (e.g., AsyncConnectionPool).
        prefix: PostgreSQL schema that was installed into (default: "public").

    Raises:
        SchemaLockedError: If somebody holds a table that has to be changed, saying who.

    Example:
        >>> await oban_pro.schema.uninstall(pool)
    """
    await _execute(pool, prefix, uninstall_sql(prefix))


async def verify(
    conn: AsyncConnection[Any], prefix: str = "public", kind: rights.Kind = "reader"
) -> None:
    """Raise unless the schema is installed, ours, and not older than this package needs.

    Newer is fine, unless what is installed says otherwise.

    Args:
        conn: An open connection.
        prefix: PostgreSQL schema where oban's tables are (default: "public").
        kind: What the role of the connection is for (default: "reader").

    Raises:
        MissingRightError: If the role of the connection may not read what says so.
        SchemaError: If it is missing, or somebody else's, saying what to do.
        SchemaVersionError: If it is of a version that this package cannot work with.
    """
    await _examine(conn, prefix, kind)


class _Installed(NamedTuple):
    """What `oban_workflow_installed_v1` returns."""

    package: str
    release: list[int]
    digest: str
    tables: int
    oldest: int


async def _examine(conn: AsyncConnection[Any], prefix: str, kind: rights.Kind) -> str | None:
    """Verify a schema; returns what is worth a line in the log."""
    command = f"oban-workflows install --prefix {prefix}"
    ledger, workflows, may_read, is_recorded = await _fetch(conn, "verify", prefix)

    if not ledger and workflows:
        raise SchemaError(
            f"schema {prefix!r} holds a relation oban_workflows that is not ours;"
            f" install into another schema: oban-workflows install --prefix NAME"
        )

    if not ledger:
        raise SchemaError(f"workflow tables are missing in schema {prefix!r}; run: {command}")

    if not may_read:
        await rights.check(conn, prefix, kind)

    version, missing = await _fetch(
        conn, "version", prefix, {"functions": installing.versioned_functions()}
    )

    if version < VERSION:
        raise SchemaVersionError(
            f"workflow tables in schema {prefix!r} are at version {version},"
            f" this package needs {VERSION}; run: {command}"
        )

    if not is_recorded or missing:
        raise SchemaVersionError(
            f"workflow functions in schema {prefix!r} are older than oban-workflows {_package()}"
            f" needs: {', '.join(missing) or 'the version'} is missing; run: {command}"
        )

    return _judge(prefix, command, version, _Installed(*await _fetch(conn, "installed", prefix)))


def _judge(prefix: str, command: str, version: int, installed: _Installed) -> str | None:
    """Compare what is installed with this package."""
    package = _package()
    release = installing.release_of(package)
    functions = f"workflow functions in schema {prefix!r} are those of oban-workflows"

    # A newer version of the tables says which nodes can work with them.
    if version > VERSION and (version > installed.tables or installed.oldest > VERSION):
        raise SchemaVersionError(
            f"workflow tables in schema {prefix!r} are at version {version},"
            f" newer than {VERSION} of this package; upgrade oban-workflows"
        )

    if installed.digest == installing.digest(prefix):
        return None

    if installed.release < release:
        raise SchemaVersionError(
            f"{functions} {installed.package}, older than {package} needs; run: {command}"
        )

    if installed.release == release:
        return f"{functions} {installed.package}, of another build than this node"

    return f"{functions} {installed.package}, newer than {package} of this node"


async def ensure(
    conn: AsyncConnection[Any], query: _host.Query, kind: rights.Kind = "reader"
) -> None:
    """Verify the schema that an Oban instance works in, once.

    Raises:
        SchemaError: Saying what to do.
    """
    if not is_verified(query):
        remark = await _examine(conn, _host.prefix_of(query), kind)
        _verified.add(query)

        if remark:
            logger.info("%s", remark)


def is_verified(query: _host.Query) -> bool:
    """Tell whether the schema that an Oban instance works in has been found good."""
    return query in _verified


async def is_installed(conn: AsyncConnection[Any], query: _host.Query) -> bool:
    """Tell whether an Oban instance works in a schema that is installed and good."""
    try:
        await ensure(conn, query)
    except SchemaError:
        return False

    return True


def forget(query: _host.Query) -> None:
    """Verify the schema of an Oban instance again the next time."""
    _verified.discard(query)


def _package() -> str:
    """Return the version of this package, from above: importing it would be a circle."""
    return str(sys.modules[__package__].__version__)


async def _fetch(
    conn: AsyncConnection[Any], name: str, prefix: str, params: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    statement = sql.statement(f"queries/{name}", prefix).encode()
    row = await (await _host.cursor_on(conn).execute(statement, params)).fetchone()
    assert row is not None

    return row


async def _build_indexes(conn: AsyncConnection[Any], prefix: str) -> None:
    """Build the indexes on a large table of jobs beside writers, before anything is locked.

    Building waits for transactions that use the table, so the ones of now have to end first.
    """
    params: dict[str, Any] = {"names": [*installing.indexes(prefix)], "size": LARGE}
    missing, unfinished, since = await _fetch(conn, "missing_indexes", prefix, params)

    if not missing:
        return

    for _ in range(TRIES):
        (holders,) = await _fetch(conn, "writers", prefix, {"since": since})

        if not holders:
            break

        await asyncio.sleep(TRY_INTERVAL)
    else:
        raise SchemaLockedError(
            f"no index is built in schema {prefix!r}, as oban_jobs is in use by {holders};"
            " try again when that has ended"
        )

    for name in missing:
        # An index that was left unfinished when its installation was killed.
        if name in unfinished:
            await conn.execute(f"DROP INDEX CONCURRENTLY {prefix}.{name}".encode())

        await conn.execute(installing.indexes(prefix)[name].encode())


async def _execute(pool: Any, prefix: str, statements: str) -> list[str]:
    """Execute statements in one transaction; returns their notices for the user."""
    notices: list[str] = []

    def hear(diagnosis: Diagnostic) -> None:
        message = diagnosis.message_primary or ""

        if message.startswith(_NOTICE):
            notices.append(message.removeprefix(_NOTICE))

    # Sent as one message they are one transaction, which does not wait for the client.
    async with pool.connection() as conn, _host.autocommit(conn):
        conn.add_notice_handler(hear)

        try:
            await conn.execute(statements.encode())
        except InsufficientPrivilege as error:
            raise await rights.explain_install(conn, prefix, error) from error
        except ReadOnlySqlTransaction as error:
            raise ReadOnlyError.because_of(error) from error
        except DatabaseError as error:
            if refusal := _REFUSALS.get(error.sqlstate or ""):
                raise refusal(str(error.diag.message_primary)) from error

            raise
        finally:
            conn.remove_notice_handler(hear)

    return notices
