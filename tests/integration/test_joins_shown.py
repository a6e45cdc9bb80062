"""How joins and tolerance are shown: explain, drawings, status."""

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow
from tests.support.engine import Engine, make_job

HANDLE = Workflow(id="w")


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


def race() -> Workflow:
    workflow = Workflow(id="w")

    for name in "abcd":
        workflow.add(name, make_job())

    workflow.add_many("call", [make_job()], deps=list("abcd"), need=3, tolerate=0.25)

    return workflow.add("end", make_job(), deps=list("abcd"), need=2)


class TestExplain:
    async def test_says_how_many_more_a_join_needs(self, engine: Engine) -> None:
        await engine.enqueue(race())
        summary = (await HANDLE.explain("end")).summary
        assert summary.startswith("job 'end' waits for 2 of its 4 dependencies; job 'a' ")

        await engine.complete("a")
        explanation = await HANDLE.explain("end")
        assert explanation.summary.startswith("job 'end' waits for 1 more of its 4 dependencies;")
        assert (explanation.needs, explanation.missing) == (2, 1)
        # it waits at the gate of its group
        summary = (await HANDLE.explain("call/0")).summary
        assert summary.startswith("job 'call/0' waits for 2 more of its 4 dependencies;")

    async def test_says_how_many_broke_a_join(self, engine: Engine) -> None:
        await engine.enqueue(race())
        await engine.discard("a", "b", "c")
        summary = (await HANDLE.explain("end")).summary
        assert summary == (
            "job 'end' was cancelled because job 'a' was discarded after 1 of 20 attempts: boom;"
            " 2 of 4 were needed, 3 broke"
        )


class TestDrawings:
    async def test_say_what_is_needed_and_tolerated(self, engine: Engine) -> None:
        built = race().to_mermaid()
        assert 'end_["end (Nobody)<br/>needs 2 of 4"]' in built
        assert 'call_["call<br/>needs 3 of 4<br/>tolerates 25#37;"]' in built
        dot = race().to_dot()
        assert r'label="end (Nobody)\nneeds 2 of 4"' in dot
        assert r'label="call\nneeds 3 of 4\ntolerates 25%"' in dot

        await engine.enqueue(race())
        graph = await HANDLE.fetch_graph()
        stored = graph.to_mermaid()
        assert 'call_["call<br/>needs 3 of 4<br/>tolerates 25#37;"]' in stored
        assert "needs 2 of 4<br/>suspended" in stored
