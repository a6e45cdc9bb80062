"""What `oban-workflows health` tells probes and monitors."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from oban_pro import schema
from tests.support.cli import assert_one_line, invoke
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from click.testing import Result
    from oban import Oban

    from tests.support.fixtures import StartOban, WaitUntil

# A node that is a row alone does not beat while the test looks.
NODE = """
INSERT INTO oban_producers (uuid, node, queue, updated_at)
VALUES (gen_random_uuid(), %s, %s, timezone('UTC', now()) - make_interval(secs => %s))
"""
LEADER = """
INSERT INTO oban_leaders (name, node, elected_at, expires_at)
SELECT 'Oban', 'node-1', now, now - make_interval(secs => %s)
FROM (SELECT timezone('UTC', now())) AS t (now)
"""
LOOKS = """
INSERT INTO oban_workflow_hearing (heard_from, heard_until)
SELECT t - interval '1 hour', t
FROM (SELECT timezone('UTC', now()) - make_interval(secs => %s)) AS s (t)
"""

NAMES = ["database", "schema", "nodes", "leader", "looks"]


async def ask(dsn: str, *options: str, **variables: str) -> Result:
    """Run the command as a probe does: not in the loop of the nodes."""
    return await asyncio.to_thread(invoke, dsn, "health", *options, **variables)


@pytest.fixture
async def node(start_oban: StartOban, conn: AsyncConnection, wait_until: WaitUntil) -> Oban:
    """Provide a node that leads, and has looked for dead ones."""
    node = await start_oban({"default": 1, "mail": 1}, node="node-1")

    async def has_looked() -> bool:
        cursor = await conn.execute("SELECT FROM oban_workflow_hearing")

        return node.is_leader and bool(await cursor.fetchall())

    await wait_until(has_looked)

    return node


async def refused(dsn: str, *options: str, **variables: str) -> str:
    """Fail unless the command finds something; returns what."""
    line = assert_one_line(await ask(dsn, *options, **variables))
    assert line.startswith("Error: unhealthy: ")

    return line.removeprefix("Error: unhealthy: ").rstrip("\n")


class TestHealth:
    async def test_is_good_where_a_node_works(self, node: Oban, dsn: str) -> None:
        done = await ask(dsn)
        assert done.stdout == "Healthy: 1 node serves default, mail; node node-1 leads.\n"
        assert (done.stderr, done.exit_code) == ("", 0)

    @pytest.mark.parametrize("variables", [{}, {"OBAN_NODE": "node-1"}])
    async def test_is_that_of_one_node(
        self, node: Oban, dsn: str, variables: dict[str, str]
    ) -> None:
        options = [] if variables else ["--node", "node-1"]
        done = await ask(dsn, *options, **variables)
        assert (done.stdout, done.exit_code) == ("Healthy: node node-1 serves default, mail.\n", 0)

    async def test_is_that_of_a_queue(self, node: Oban, dsn: str) -> None:
        done = await ask(dsn, "--queue", "mail", "--node", "node-1")
        assert done.stdout == (
            "Healthy: node node-1 serves default, mail; queue mail is served by node-1.\n"
        )

    async def test_health_prints_its_checks_as_json(self, node: Oban, dsn: str) -> None:
        done = await ask(dsn, "--json")
        told = json.loads(done.stdout)
        assert (told["healthy"], done.exit_code) == (True, 0)
        assert [check["name"] for check in told["checks"]] == NAMES
        assert all(check["ok"] and check["text"] for check in told["checks"])

    async def test_is_bad_where_no_node_is(self, dsn: str) -> None:
        assert await refused(dsn) == (
            "no node serves a queue; no node leads; no node looks for dead ones"
        )
        assert await refused(dsn, "--node", "node-2") == "node node-2 serves no queue"

    async def test_is_bad_as_json_too(self, dsn: str) -> None:
        done = await ask(dsn, "--json")
        told = json.loads(done.stdout)
        assert (told["healthy"], done.exit_code) == (False, 1)
        assert [check["ok"] for check in told["checks"]] == [True, True, False, False, False]

    async def test_is_bad_where_a_node_is_silent(self, conn: AsyncConnection, dsn: str) -> None:
        await conn.execute(NODE, ["node-1", "mail", 75])
        told = await refused(dsn, "--node", "node-1")
        assert re.fullmatch(r"node node-1 sent its last heartbeat 1m \d+s ago", told)
        assert re.match(
            r"no node is alive, the last heartbeat came 1m \d+s ago; ", await refused(dsn)
        )
        assert "; no node serves queue mail; " in await refused(dsn, "--queue", "mail")
        assert (await refused(dsn, "--node", "node-1", "--queue", "mail")).endswith(
            "; node node-1 does not serve queue mail"
        )
        await conn.execute(NODE, ["node-2", "other", -30])
        assert (await ask(dsn, "--node", "node-2")).exit_code == 0
        assert "heartbeat" not in await refused(dsn)

    async def test_is_bad_where_a_queue_is_paused(self, node: Oban, dsn: str) -> None:
        await node.pause_queue("mail", node="node-1")
        assert await refused(dsn, "--queue", "mail") == "queue mail is paused on every node"
        assert await refused(dsn, "--queue", "mail", "--node", "node-1") == (
            "queue mail is paused on node node-1"
        )
        assert (await ask(dsn)).exit_code == 0

    async def test_is_bad_where_nobody_leads(self, conn: AsyncConnection, dsn: str) -> None:
        await conn.execute(NODE, ["node-1", "mail", -30])
        await conn.execute(LOOKS, [0])
        assert await refused(dsn) == "no node leads"
        await conn.execute(LEADER, [125])
        assert re.fullmatch(r"no node has led for 2m \d+s", await refused(dsn))
        await conn.execute("UPDATE oban_leaders SET expires_at = expires_at + interval '100 s'")
        assert (await ask(dsn)).exit_code == 0

    async def test_is_bad_where_nobody_looks_for_dead_nodes(
        self, conn: AsyncConnection, dsn: str
    ) -> None:
        await conn.execute(NODE, ["node-1", "mail", -30])
        await conn.execute(LEADER, [-30])
        assert await refused(dsn) == "no node looks for dead ones"
        await conn.execute(LOOKS, [125])
        told = await refused(dsn)
        assert re.fullmatch(r"no node has looked for dead ones for 2m \d+s", told)
        assert (await ask(dsn, "--node", "node-1")).exit_code == 0

    async def test_is_bad_without_tables(self, empty_dsn: str) -> None:
        assert (await refused(empty_dsn)).startswith("workflow tables are missing in schema")

    async def test_is_bad_where_tables_are_of_another_version(
        self, conn: AsyncConnection, dsn: str
    ) -> None:
        await conn.execute(
            "DELETE FROM oban_workflow_migrations WHERE version = %s", [schema.VERSION]
        )
        assert f"this package needs {schema.VERSION}" in await refused(dsn)

    async def test_is_bad_where_the_database_is_not(self, dsn: str) -> None:
        assert "the database cannot be used: " in await refused(
            make_conninfo(dsn, host="127.0.0.1", port=1)
        )
        done = await ask(make_conninfo(dsn, host="127.0.0.1", port=1), "--json")
        assert [check["name"] for check in json.loads(done.stdout)["checks"]] == ["database"]

    async def test_is_bad_where_the_database_does_not_answer(self, dsn: str) -> None:
        async with Proxy(dsn) as proxy:
            proxy.stall()
            told = await refused(proxy.dsn, "--timeout", "0.3")

        assert told == "the database does not answer within 0.3 seconds"
