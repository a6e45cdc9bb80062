"""A week of schedules on two nodes, by a clock that the server is told; nodes die and come."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from oban_pro import schema
from oban_pro.embedded import Postgres
from tests.support.clock import Clock, needs_faketime
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 10, 21, 21, 30, tzinfo=UTC)
"""A week in which clocks in Kyiv are put back, on the 25th at four to three."""

STEP = timedelta(hours=1, minutes=50)

OFTEN = [START.replace(hour=0, minute=0) + timedelta(hours=4 * n) for n in range(6, 6 + 7 * 6)]
NIGHTLY = [
    # 3:30 in Kyiv is three hours ahead of UTC, and two from the 26th on: on the 25th it comes twice
    *(datetime(2026, 10, day, 0, 30, tzinfo=UTC) for day in range(22, 26)),
    *(datetime(2026, 10, day, 1, 30, tzinfo=UTC) for day in range(26, 29)),
]
EXPECTED = sorted(
    f"{name}@{tick:%Y-%m-%dT%H:%M:%SZ}"
    for name, ticks in (("often", OFTEN), ("nightly", NIGHTLY))
    for tick in ticks
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@contextmanager
def node(dsn: str) -> Iterator[subprocess.Popen[str]]:
    run = "import asyncio, sys; from tests.support import week; asyncio.run(week.run(sys.argv[1]))"
    command = [sys.executable, "-c", run, dsn]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(conn: psycopg.Connection, statement: str, count: int) -> None:
    deadline = time.monotonic() + 60

    while (row := conn.execute(statement.encode()).fetchone()) != (count,):
        assert time.monotonic() < deadline, f"{statement} must be {count}, got {row}"
        time.sleep(0.05)


def fired_until(moment: datetime) -> int:
    return sum(tick <= moment for tick in (*OFTEN, *NIGHTLY))


@contextmanager
def node_pair(dsn: str, conn: psycopg.Connection) -> Iterator[subprocess.Popen[str]]:
    conn.execute(schema.install_sql())

    with node(dsn) as first, node(dsn):
        wait_for(conn, "SELECT count(*) FROM oban_workflow_schedules", 2)
        yield first


@needs_faketime
class TestWeek:
    def test_fires_each_tick_once(self) -> None:
        with Clock() as clock:
            offset = START - datetime.now(UTC)
            clock.move(offset.total_seconds())

            with (
                clock.start(Postgres()) as postgres,
                psycopg.connect(postgres.dsn(), autocommit=True) as conn,
                node_pair(postgres.dsn(), conn) as first,
            ):
                moment = START

                while moment < START + timedelta(days=7):
                    moment += STEP
                    clock.move((moment - START + offset).total_seconds())
                    wait_for(conn, "SELECT count(*) FROM oban_workflow_groups", fired_until(moment))

                    # one of the nodes goes in the middle of the week, as its clock is moved
                    if moment - START > timedelta(days=3):
                        first.kill()

                wait_for(
                    conn,
                    "SELECT count(*) FROM oban_jobs WHERE state = 'completed' AND attempt = 1",
                    len(EXPECTED),
                )
                found = conn.execute("SELECT id FROM oban_workflow_groups ORDER BY id").fetchall()

        assert [id for (id,) in found] == EXPECTED
