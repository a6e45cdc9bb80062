"""A new database for every run, with tables in one of the states that change PostgreSQL's plans."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, NamedTuple

import oban.schema
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

import oban_pro.schema
from tests.support.stored import BIG, Size, fill

from .measurement import Result, Run, System

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 900


class Table(NamedTuple):
    """The state of the tables, as what has happened to them before the run.

    Args:
        history: Number of jobs that have run.
        statement: The statement that was executed after that.
        warm: Number of single jobs that the measured node runs first, so that its plans are cached.
        is_full: Whether very many workflows are stored.
    """

    history: int
    statement: str
    warm: int = 0
    is_full: bool = False


TABLES = {
    "empty": Table(0, ""),
    "truncated": Table(2_000, "ANALYZE; TRUNCATE oban_jobs"),
    "analyzed": Table(2_000, "ANALYZE"),
    "grown": Table(10, "ANALYZE", warm=40),
    "stored": Table(0, "", is_full=True),
}

HISTORY_SHAPE: dict[System, str] = {
    "floor": "independent",
    "oban": "independent",
    "triggers": "independent",
    "workflows": "fan_out",
}


class Databases:
    """Runs measurements on a server, each in its own database and its own process.

    Args:
        dsn: A server on which databases may be created.
        stored: How much is stored in databases whose state is full.
    """

    def __init__(self, dsn: str, stored: Size = BIG) -> None:
        self._dsn = dsn
        self._stored = replace(stored, running=0)
        self._templates: dict[tuple[System, str], str] = {}

    def measure(self, run: Run, table: str) -> Result:
        """Measure one run on tables in the given state."""
        template = self._template(run.system, table)

        with self.database(f"{template}_run", template) as dsn:
            return _in_own_process(replace(run, warm=TABLES[table].warm, dsn=dsn))

    def close(self) -> None:
        """Drop the remaining template databases."""
        for name in self._templates.values():
            self._drop(name)

    def _template(self, system: System, table: str) -> str:
        if (system, table) not in self._templates:
            name = f"bench_{os.getpid()}_{system}_{table}"
            self._templates[system, table] = name
            dsn = self._create(name, "template0")
            _prepare(dsn, system, TABLES[table])

            if TABLES[table].is_full:
                asyncio.run(fill(dsn, self._stored))

        return self._templates[system, table]

    @contextmanager
    def database(self, name: str, template: str = "template0") -> Iterator[str]:
        """Yield the DSN of a new database, gone after the block."""
        try:
            yield self._create(name, template)
        finally:
            self._drop(name)

    def _create(self, name: str, template: str) -> str:
        with psycopg.connect(self._dsn) as conn:
            # Copying files is faster than copying through the WAL. PostgreSQL 14 always does so.
            strategy = " STRATEGY file_copy" if conn.info.server_version >= 150_000 else ""

        self._execute("CREATE DATABASE {} TEMPLATE {}" + strategy, name, template)

        return make_conninfo(self._dsn, dbname=name)

    def _drop(self, name: str) -> None:
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _prepare(dsn: str, system: System, table: Table) -> None:
    schema = oban_pro.schema if system in ("triggers", "workflows") else oban.schema

    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(schema.install_sql())

        if table.history:
            _in_own_process(Run(system, HISTORY_SHAPE[system], table.history, dsn=dsn))

        for statement in filter(None, table.statement.split("; ")):
            conn.execute(statement)


def _in_own_process(run: Run) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run"],
        check=False,
        input=json.dumps(asdict(run)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )

    if done.returncode:
        raise RuntimeError(f"{run} must succeed, got:\n{done.stderr}")

    return Result(**json.loads(done.stdout))
