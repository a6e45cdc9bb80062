"""How the statements of the pages find what they read."""

import json
import re
from typing import Any

from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import sql
from tests.support.graphs import diamond

STATEMENTS: dict[str, dict[str, Any]] = {
    "roots": {"ids": ["the-one"], "looked_at": 2000, "workers": True},
    "list_counts": {"limit": 1000},
    "attention": {"ids": ["the-one"], "limit": 50},
    "first_errors": {"ids": ["the-one"], "states": ["discarded"], "most": 1000},
    "breadcrumbs": {"id": "the-one"},
    "path": {"id": "the-one", "opened": [], "ends": "{}"},
    "retries": {"id": "the-one"},
    "members": {
        "id": "the-one",
        "opened": [],
        "shut": [],
        "windows": "{}",
        "near": 1,
        "path": [],
        "limit": 150,
    },
    "served": {},
    "failures": {"id": "the-one", "limit": 100},
    "beside": {"groups": [-1], "firsts": [1], "drawn": [1, 2]},
    "edges": {"ids": [1, 2, 3, 4]},
    "jobs": {
        "id": "the-one",
        "search": None,
        "state": "available",
        "group": None,
        "job": None,
        "page": 1,
        "limit": 100,
        "most": 1000,
    },
    "job": {"id": "the-one", "job": 1},
    "picked_jobs": {"id": "the-one", "jobs": [1, 2]},
    "root_crumbs": {"ids": ["the-one", "other"]},
    "neighbours": {"job": 1, "limit": 60},
}

# An empty table is read from one end to the other.
FILLING = (
    "INSERT INTO oban_workflow_timers (target, kind, root, due)"
    " SELECT n, 'wait', -n, timezone('UTC', now()) + n * interval '1 hour'"
    " FROM generate_series(1, 5000) n",
    "INSERT INTO oban_workflow_waits (id, root, group_key, kind, is_open)"
    " SELECT n, -n, -n, 'signal', true FROM generate_series(1, 5000) n",
    "INSERT INTO oban_workflow_pauses (target, root, paused_at)"
    " SELECT -n, -n, timezone('UTC', now()) FROM generate_series(1, 5000) n",
)


class TestStatements:
    async def test_read_by_indexes_alone_among_many_jobs_and_workflows(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        """A plan that reads a whole table gets slower with every workflow in it."""
        others = [job for _ in range(2000) for job in diamond()]
        await oban.enqueue_many([*diamond(id="the-one"), *others])

        async with pool.connection() as conn:
            for insert in FILLING:
                await conn.execute(insert.encode())

            await conn.execute("ANALYZE")
            scanned = {name: await find_scanned(conn, name) for name in STATEMENTS}

        assert {name: tables for name, tables in scanned.items() if tables} == {}


async def find_scanned(conn: AsyncConnection[Any], name: str) -> set[str]:
    """Name the tables that a statement reads from one end to the other."""
    query = f"EXPLAIN (FORMAT JSON) {sql.statement(f'dashboard/{name}', 'public')}".encode()
    cursor = await conn.execute(query, STATEMENTS[name])
    plan = json.dumps(await cursor.fetchone())

    return set(re.findall(r'"Seq Scan", .*?"Relation Name": "(\w+)"', plan))
