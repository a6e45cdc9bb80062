"""Servers whose clock is moved while they run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg

from oban_pro.embedded import Postgres
from tests.support.clock import Clock, needs_faketime


def ahead(conn: psycopg.Connection) -> timedelta:
    """Return how far the clock of a server is ahead of ours, to the minute."""
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    seconds = (row[0] - datetime.now(UTC)).total_seconds()

    return timedelta(minutes=round(seconds / 60))


@needs_faketime
class TestClock:
    def test_moves_forth_and_back_for_connections_that_are_open(self) -> None:
        with (
            Clock() as clock,
            clock.start(Postgres()) as postgres,
            psycopg.connect(postgres.dsn(), autocommit=True) as conn,
        ):
            assert ahead(conn) == timedelta()
            clock.move(3600)
            assert ahead(conn) == timedelta(hours=1)
            clock.move(-86400)
            assert ahead(conn) == timedelta(days=-1)

            with psycopg.connect(postgres.dsn()) as another:
                assert ahead(another) == timedelta(days=-1)

    def test_leaves_spans_as_they_are(self) -> None:
        with (
            Clock() as clock,
            clock.start(Postgres()) as postgres,
            psycopg.connect(postgres.dsn(), autocommit=True) as conn,
        ):
            clock.move(86400)
            conn.execute("SET statement_timeout = '10s'")
            conn.execute("SELECT pg_sleep(0.01)")

    def test_a_moved_clock_is_that_of_one_server_alone(self) -> None:
        with (
            Clock() as clock,
            clock.start(Postgres()),
            Postgres() as other,
            psycopg.connect(other.dsn()) as conn,
        ):
            clock.move(3600)
            assert ahead(conn) == timedelta()
