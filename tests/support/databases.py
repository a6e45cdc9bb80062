"""Databases that live as long as a test, and a class to read and change them."""

import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

TABLES = ("oban_jobs", "oban_workflow_groups", "oban_workflow_members", "oban_workflow_edges")

MEMORY = "/dev/shm"
ROOM = 8 * 1024**3


@contextmanager
def kept_in_memory() -> Iterator[None]:
    """While the block runs, let a temporary server keep its files in memory, if there is room.

    A database has a few hundred small files. Each test copies one, which takes ten times as long
    on a disk.
    """
    before = tempfile.tempdir
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        tempfile.tempdir = MEMORY
    try:
        yield
    finally:
        tempfile.tempdir = before


class Server:
    """A PostgreSQL server that databases are created on, and dropped from."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._conn = psycopg.connect(dsn, autocommit=True)
        self._prefix = f"oban_test_{os.getpid()}_{secrets.token_hex(3)}"
        self._numbers = itertools.count(1)

    def dsn(self, dbname: str) -> str:
        return make_conninfo(self._dsn, dbname=dbname)

    @contextmanager
    def database(self, template: str = "template0", encoding: str = "") -> Iterator[str]:
        """Yield the name of a database that lives as long as the block."""
        name = f"{self._prefix}_{next(self._numbers)}"
        database, source = sql.Identifier(name), sql.Identifier(template)
        # Copying files is faster than copying through the WAL. PostgreSQL 14 always does so.
        strategy = " STRATEGY file_copy" if self._conn.info.server_version >= 150_000 else ""
        encoded = f" ENCODING '{encoding}' LOCALE 'C'" if encoding else ""
        create = "CREATE DATABASE {} TEMPLATE {}" + strategy + encoded
        self._conn.execute(sql.SQL(create).format(database, source))
        try:
            yield name
        finally:
            drop = "DROP DATABASE IF EXISTS {} WITH (FORCE)"
            self._conn.execute(sql.SQL(drop).format(database))

    def close(self) -> None:
        self._conn.close()


class Psql:
    """Reads and changes a database, with a new connection for each call."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def rows(self, query: str, params: Any = None) -> list[Any]:
        """Run a statement, and return its rows as tuples."""
        with psycopg.connect(self.dsn) as conn:
            cursor = conn.execute(query.encode(), params)

            return cursor.fetchall() if cursor.description is not None else []

    def dicts(self, query: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, row_factory=dict_row) as conn:
            return conn.execute(query.encode()).fetchall()

    def relations(self, prefix: str = "public") -> set[str]:
        """Return the names of the tables and views in a schema."""
        query = """
            SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE nspname = %s AND relkind IN ('r', 'v')
        """

        return {name for (name,) in self.rows(query, [prefix])}

    def is_empty(self) -> bool:
        return not any(self.rows(f"SELECT FROM {table}") for table in TABLES)

    def jobs(self) -> list[dict[str, Any]]:
        return self.dicts("SELECT * FROM oban_jobs ORDER BY id")

    def states(self) -> dict[str, str]:
        """Return the states of jobs by name."""
        return {row["meta"]["name"]: row["state"] for row in self.jobs()}

    def edges(self) -> list[dict[str, Any]]:
        return self.dicts("SELECT upstream, downstream FROM oban_workflow_edges")


async def deadlocks(conn: AsyncConnection) -> int:
    """Count the deadlocks that PostgreSQL had to break in a database."""
    if conn.info.server_version >= 150_000:
        await conn.execute("SELECT pg_stat_force_next_flush()")

    cursor = await conn.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    row = await cursor.fetchone()
    assert row is not None

    return int(row[0])
