"""Functions that only nodes of older releases call, and what these nodes make of the rows."""

import re

from oban_pro import Workflow
from tests.support import flows
from tests.support.engine import Engine
from tests.support.graphs import work

RECORD = """
UPDATE oban_jobs SET meta = meta || '{"recorded": true, "return": "1"}' WHERE meta ->> 'name' = 'up'
"""

ROWS = "SELECT reader, parent, name, kind, value FROM oban_workflow_"


def gated() -> Workflow:
    """Build a fan-out behind a job that records something and one that fails."""
    return (
        Workflow()
        .add_context({"a": 1})
        .add_cascade("up", flows.one)
        .add("bad", work())
        .add_cascade("many", ([1, 2], flows.keep_item), deps=["up", "bad"], ignore_discarded=True)
        .add_cascade("see", flows.see, deps=["up", "bad"], ignore_discarded=True, lazy=True)
    )


async def enqueue_with_one_failed(engine: Engine) -> None:
    await engine.enqueue(gated())
    await engine.complete("up")
    await engine.discard("bad")
    await engine.rows(RECORD)


class TestContexts:
    async def test_of_the_second_version_are_rows_of_one_shape(self, engine: Engine) -> None:
        await enqueue_with_one_failed(engine)
        ((job, group),) = await engine.rows(
            "SELECT m.id, m.group_key FROM oban_workflow_members m WHERE name = '0'"
        )
        rows = await engine.rows(ROWS + "contexts_v2(%s, '{}', '{}')", [[job]])
        ((version,),) = [[row[4]] for row in rows if row[3] == "shared"]

        assert sorted(rows) == sorted(
            [
                (job, None, "", "reader", "gated"),
                (group, None, "", "shared", version),
                (group, None, "", "context", '{"a": 1}'),
                (group, None, "up", "job", "1"),
                (group, None, "bad", "failed", "boom"),
            ],
        )
        assert re.fullmatch(r"2\S+ \S+ [0-9a-f]{32}", version)

        known = await engine.rows(ROWS + "contexts_v2(%s, %s, %s)", [[job], [group], [version]])
        assert sorted(row[3] for row in known) == ["context", "reader", "shared"]

        another = version[:-1] + "-"
        rows = await engine.rows(ROWS + "contexts_v2(%s, %s, %s)", [[job], [group], [another]])
        assert len(rows) == 5

    async def test_of_the_first_version_leave_out_failed_jobs(self, engine: Engine) -> None:
        await enqueue_with_one_failed(engine)
        rows = await engine.rows(
            ROWS + "contexts_v1((SELECT array_agg(id) FROM oban_workflow_members"
            " WHERE name = '0'), '{}', '{}')"
        )

        kinds = [kind for _, _, _, kind, _ in rows]
        assert sorted(kinds) == ["context", "job", "reader", "shared"]

    async def test_that_are_lazy_are_rows_of_the_same_shape(self, engine: Engine) -> None:
        await enqueue_with_one_failed(engine)
        ((job,),) = await engine.rows("SELECT id FROM oban_workflow_members WHERE name = 'see'")
        rows = await engine.rows(ROWS + "lazy_context_v1(%s)", [job])

        assert rows == [
            (job, None, "", "context", '{"a": 1}'),
            (job, None, "up", "job", "1"),
            (job, None, "bad", "failed", "boom"),
        ]
