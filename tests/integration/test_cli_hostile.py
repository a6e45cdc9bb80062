"""What the commands print of text that would steer the terminal it is printed on."""

import asyncio
import json
import re
from collections.abc import Iterator

import orjson
import pytest
from click.testing import Result
from oban import Job, Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.__main__ import main
from oban_pro.testing import run_workflow
from tests.support.cli import invoke
from tests.support.databases import Server
from tests.support.graphs import work

# It fills the clipboard, clears the screen, goes back to the start of the line, turns the text
# around, and makes a line of its own.
EVIL = "e\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b2J\x7f\r\x08\x0b\x85\u2028\u202e\u2066\U000e0041\n"
SPELT = r"e\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b2J\x7f\r\x08\x0b\x85\u2028\u202e\u2066\U000e0041\n"
ID = f"id {EVIL}"
TRACEBACK = f"Traceback (most recent call last):\n\tpass\nOSError: {EVIL}last"

COMMANDS = {
    "list": [["list"], ["list", EVIL]],
    "show": [["show", ID], ["show", f"{ID} too"], ["show", f"{ID}?"]],
    "watch": [["watch", ID]],
    "graph": [["graph", ID], ["graph", ID, "--format", "dot"]],
    "explain": [
        ["explain", ID, f"last {EVIL}"],
        ["explain", ID, f"bad {EVIL}", "--full"],
        ["explain", ID, f"waits {EVIL}"],
        ["explain", ID, f"unknown {EVIL}"],
        ["explain", f"{ID} too", f"ask {EVIL}"],
    ],
    "diff": [["diff", ID, f"{ID} too"], ["diff", ID, f"{ID} no"]],
    "doctor": [["doctor"], ["doctor", ID]],
    "health": [
        ["health"],
        ["health", "--node", f"node {EVIL}", "--queue", f"queue {EVIL}"],
        ["health", "--queue", f"unknown {EVIL}"],
    ],
    "cancel": [["cancel", f"{ID} too"], ["cancel", ID, f"unknown {EVIL}"]],
    "retry": [["retry", f"{ID} too"], ["retry", f"{ID} no"]],
    "delete": [["delete", f"{ID}?"], ["delete", "--all", "--name", EVIL]],
    "partition": [["partition", EVIL]],
    "check": [["check"], ["check", "--ignore", EVIL, "--queues", EVIL]],
    "limit": [["limit", ID, f"sub {EVIL}", "1"], ["limit", f"{ID} no", EVIL, "none"]],
    "pause": [["pause", f"{ID} no"], ["pause", f"{ID} too", "--by", EVIL]],
    "resume": [["resume", f"{ID} no"], ["resume", f"{ID} too"]],
    "schedules": [["schedules"]],
    "stats": [["stats"]],
    "metrics": [["metrics"]],
    "waits": [["waits"]],
    "signal": [
        ["signal", f"{ID} too", f"ask {EVIL}", '"no"', "--by", EVIL],
        ["signal", f"{ID} too", f"ask {EVIL}", EVIL],
        ["signal", f"{ID} too", f"asked {EVIL}", "--by", EVIL],
        ["signal", f"{ID} too", f"unknown {EVIL}"],
        ["signal", f"{ID} no", EVIL],
        ["signal", f"{ID} too", f"refused {EVIL}", "--reject", EVIL, "--by", EVIL],
    ],
}
NODE = """
INSERT INTO oban_producers (uuid, node, queue, updated_at)
VALUES (gen_random_uuid(), %s, %s, timezone('UTC', now()) + interval '1 hour')
"""
DRAWING = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[1?[AK]|\x1b\[2K|\r(?!\n)")
"""Colours, and what `watch` draws over itself with."""

NOTHING_TO_SAY = {"install", "uninstall", "grants", "web", "demo", "start"}
"""Commands that print nothing of what is stored."""

WITHOUT_JSON = ("cancel", "delete", "partition", "retry", "signal")


def calls(name: str) -> list[list[str]]:
    """Return ways to call a command, those with ``--json`` included."""
    plainly = COMMANDS[name]

    return plainly if name in WITHOUT_JSON else [*plainly, *([*one, "--json"] for one in plainly)]


async def arrange(dsn: str) -> None:
    async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
        oban = Oban(pool=pool)
        inner = Workflow().add(f"inner {EVIL}", work())
        workflow = (
            Workflow(id=ID, name=f"name {EVIL}")
            .add_workflow(f"sub {EVIL}", inner)
            .add(f"bad {EVIL}", work("fail", max_attempts=1))
            .add(f"last {EVIL}", work(), deps=[f"sub {EVIL}", f"bad {EVIL}"])
        )
        await run_workflow(workflow, with_safety=True)
        await oban.enqueue_many(
            Workflow(id=f"{ID} too", name=f"too {EVIL}")
            .add("now", work(queue=f"queue {EVIL}"))
            .add("gone", Job(f"nowhere.{EVIL}"))
            .add(f"waits {EVIL}", work(), deps="now")
            .add_signal(f"ask {EVIL}", choices=[EVIL], count=2)
            .add_signal(f"asked {EVIL}", count=2)
            .add_signal(f"refused {EVIL}")
        )
        await Workflow(id=f"{ID} too").signal(f"ask {EVIL}", EVIL, by=f"by {EVIL}")
        await Workflow(id=f"{ID} too").signal(f"asked {EVIL}", by=EVIL)

        async with pool.connection() as conn:
            entry = json.dumps({"attempt": 1, "at": "2024-05-01T00:00:00Z", "error": TRACEBACK})
            await conn.execute(
                "UPDATE oban_jobs SET errors = jsonb_build_array(%s::jsonb)"
                " WHERE state = 'discarded'",
                [entry],
            )
            await conn.execute(NODE.encode(), [f"node {EVIL}", f"queue {EVIL}"])
            await conn.execute("SET session_replication_role = replica")
            await conn.execute("UPDATE oban_workflow_members SET gone = 'cancelled' WHERE id > 0")
            await conn.execute("UPDATE oban_workflow_groups SET completed = completed + 1")


@pytest.fixture(scope="module")
def site(postgres: Server, template: str) -> Iterator[str]:
    """Provide a database that holds nothing but trouble."""
    with postgres.database(template) as name:
        asyncio.run(arrange(postgres.dsn(name)))
        yield postgres.dsn(name)


def printed(done: Result) -> str:
    return done.stdout + done.stderr


def hidden(text: str) -> set[str]:
    return {char for char in text if not char.isprintable() and char != "\n"}


class TestCommands:
    def test_every_command_is_tried_with_hostile_input(self) -> None:
        assert COMMANDS.keys() | NOTHING_TO_SAY == main.commands.keys()

    @pytest.mark.parametrize("name", COMMANDS)
    def test_print_nothing_that_a_terminal_obeys(self, name: str, site: str) -> None:
        for arguments in calls(name):
            text = printed(invoke(site, *arguments))
            assert text, arguments
            assert hidden(text) == set(), arguments

    @pytest.mark.parametrize("name", COMMANDS)
    def test_print_nothing_but_colours_to_a_terminal(self, name: str, site: str) -> None:
        for arguments in calls(name):
            text = printed(invoke(site, *arguments, FORCE_COLOR="1", COLUMNS="200"))
            assert hidden(DRAWING.sub("", text)) == set(), arguments

    def test_print_one_line_for_each_workflow(self, site: str) -> None:
        lines = invoke(site, "list").stdout.splitlines()
        assert len(lines) == 3
        assert f"id {SPELT}" in lines[-1]

    def test_keep_the_lines_of_a_traceback(self, site: str) -> None:
        text = invoke(site, "explain", ID, f"last {EVIL}", "--full").stdout
        assert "  Traceback (most recent call last):\n" in text
        assert f"  OSError: {SPELT[:-2]}\n  last" in text

    def test_print_json_that_reads_as_what_is_stored(self, site: str) -> None:
        text = invoke(site, "show", ID, "--json").stdout
        shown = orjson.loads(text)
        assert shown["name"] == f"name {EVIL}"
        assert shown["failed"][0]["error"] == TRACEBACK
