"""Installation of the tables and functions that run workflows, beside those of oban."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import oban.schema
from psycopg import DatabaseError
from psycopg.errors import UndefinedFunction, UndefinedTable

from . import _host, sql
from .errors import SchemaError

if TYPE_CHECKING:
    from psycopg import AsyncConnection

VERSION = len(sql.read_all("migrations"))
"""The version of the tables that this package works with."""

MISSING = (SchemaError, UndefinedFunction, UndefinedTable)
"""What is raised where the schema is not installed, or has been removed since it was found good."""

_REFUSALS = ("OBW01", "OBW02")

# Instances whose schema has been found good; only that answer is kept.
_verified: WeakSet[_host.Query] = WeakSet()


def install_sql(prefix: str = "public") -> str:
    """Get the SQL that installs or upgrades everything workflows need.

    Creates the schema and oban's own tables where they are missing. Applying it again changes
    nothing. It is meant for migration frameworks; run it in one transaction.

    Args:
        prefix: PostgreSQL schema where oban's tables are, or will be (default: "public").

    Returns:
        Several SQL statements, in one string.

    Raises:
        ValueError: If the prefix is not a plain lower-case schema name.

    Example (Alembic):
        >>> def upgrade():
        ...     op.execute(oban_pro.schema.install_sql())
    """
    steps = [
        _fill("migrate.sql", version=str(version), migration=migration)
        for version, migration in enumerate(sql.read_all("migrations"), start=1)
    ]

    return _fill(
        "install.sql",
        schema=sql.check_prefix(prefix),
        version=str(VERSION),
        oban=oban.schema.install_sql(prefix),
        migrations="\n".join(steps),
        functions="\n".join(sql.read_all("functions")),
    )


def uninstall_sql(prefix: str = "public") -> str:
    """Get the SQL that removes what `install_sql` made, except oban's own tables.

    Jobs stay; suspended ones of unfinished workflows are no longer released.

    Args:
        prefix: PostgreSQL schema that was installed into (default: "public").

    Returns:
        Several SQL statements, in one string.

    Example (Alembic):
        >>> def downgrade():
        ...     op.execute(oban_pro.schema.uninstall_sql())
    """
    return _fill("uninstall.sql", schema=sql.check_prefix(prefix))


async def install(pool: Any, prefix: str = "public") -> None:
    """Install or upgrade everything workflows need, in one transaction.

    Creates the schema and oban's own tables where they are missing. Safe to repeat, also at the
    same time from several places.

    Args:
        pool: A database connection pool (e.g., AsyncConnectionPool).
        prefix: PostgreSQL schema where oban's tables are, or will be (default: "public").

    Raises:
        SchemaError: If the schema holds a foreign ``oban_workflows``, or is newer than this
            package.
        ValueError: If the prefix is not a plain lower-case schema name.

    Example:
        >>> pool = await Oban.create_pool("postgresql://localhost/mydb")
        >>> await oban_pro.schema.install(pool)
    """
    await _execute(pool, install_sql(prefix))


async def upgrade(pool: Any, prefix: str = "public") -> None:
    """Bring an installation up to this package's version; the same as `install`.

    Args:
        pool: A database connection pool (e.g., AsyncConnectionPool).
        prefix: PostgreSQL schema where oban's tables are (default: "public").

    Raises:
        SchemaError: If the schema holds a foreign ``oban_workflows``, or is newer than this
            package.

    Example:
        >>> await oban_pro.schema.upgrade(pool)
    """
    await install(pool, prefix)


async def create_web_indexes(pool: Any, prefix: str = "public") -> None:
    """Create the indexes that keep Oban Web's pages of workflows fast.

    They are optional, as they make inserting the jobs of workflows a fifth slower. Jobs can be
    inserted and run meanwhile. Safe to repeat; `uninstall` removes them.

    Args:
        pool: A database connection pool (e.g., AsyncConnectionPool).
        prefix: PostgreSQL schema where oban's tables are (default: "public").

    Example:
        >>> await oban_pro.schema.create_web_indexes(pool)
    """
    # Without a transaction, as building an index beside writers demands.
    async with pool.connection() as conn, _host.autocommit(conn):
        for name in ("web_index_workflow", "web_index_sup_workflow"):
            await conn.execute(sql.query(name, prefix).encode())


async def uninstall(pool: Any, prefix: str = "public") -> None:
    """Remove what `install` made, except oban's own tables.

    Args:
        pool: A database connection pool (e.g., AsyncConnectionPool).
        prefix: PostgreSQL schema that was installed into (default: "public").

    Example:
        >>> await oban_pro.schema.uninstall(pool)
    """
    await _execute(pool, uninstall_sql(prefix))


async def verify(conn: AsyncConnection[Any], prefix: str = "public") -> None:
    """Raise unless the schema is installed, ours, and of this package's version.

    Args:
        conn: An open connection.
        prefix: PostgreSQL schema where oban's tables are (default: "public").

    Raises:
        SchemaError: Saying what to do.
    """
    command = f"oban-workflows install --prefix {prefix}"
    ledger, workflows = await _fetch(conn, "verify", prefix)

    if not ledger and workflows:
        raise SchemaError(
            f"schema {prefix!r} holds a relation oban_workflows that is not ours;"
            f" install into another schema: oban-workflows install --prefix NAME"
        )

    if not ledger:
        raise SchemaError(f"workflow tables are missing in schema {prefix!r}; run: {command}")

    (version,) = await _fetch(conn, "version", prefix)

    if version < VERSION:
        raise SchemaError(
            f"workflow tables in schema {prefix!r} are at version {version},"
            f" this package needs {VERSION}; run: {command}"
        )

    if version > VERSION:
        raise SchemaError(
            f"workflow tables in schema {prefix!r} are at version {version},"
            f" newer than {VERSION} of this package; upgrade oban-workflows"
        )


async def ensure(conn: AsyncConnection[Any], query: _host.Query) -> None:
    """Verify the schema that an Oban instance works in, once.

    Raises:
        SchemaError: Saying what to do.
    """
    if query not in _verified:
        await verify(conn, _host.prefix_of(query))
        _verified.add(query)


async def ensure_query(query: _host.Query) -> None:
    """Verify the schema that an Oban instance works in, once, on a connection of its own.

    Raises:
        SchemaError: Saying what to do.
    """
    if query not in _verified:
        async with query.connection() as conn:
            await ensure(conn, query)


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


async def _fetch(conn: AsyncConnection[Any], name: str, prefix: str) -> tuple[Any, ...]:
    cursor = await _host.cursor_on(conn).execute(sql.query(name, prefix).encode())
    row = await cursor.fetchone()
    assert row is not None

    return row


async def _execute(pool: Any, statements: str) -> None:
    try:
        async with pool.connection() as conn, conn.transaction():
            await conn.execute(statements.encode())
    except DatabaseError as error:
        if error.sqlstate in _REFUSALS:
            raise SchemaError(str(error.diag.message_primary)) from error

        raise


def _fill(path: str, **values: str) -> str:
    filled = sql.read(path)

    for name, value in values.items():
        filled = filled.replace(f"/* TEMPLATE: {name} */", value)

    return filled
