"""Drawings, fed to the real Graphviz and the real mermaid; and those of stored workflows."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oban import Job

from oban_pro import Graph, Vertex, Workflow, errors
from oban_pro.render.vertex import FILLS
from tests.support import flows
from tests.support.drawings import (
    Drawing,
    Mermaid,
    expected,
    needs_graphviz,
    needs_mermaid,
    parse_dot,
    spelled,
)
from tests.support.engine import Engine, make_job
from tests.support.graphs import diamond, work

# Keywords of mermaid and of DOT, and what every JavaScript object has.
WORDS = [
    "BR",
    "BT",
    "LR",
    "RL",
    "TB",
    "TD",
    "End",
    "END",
    "accDescr",
    "accTitle",
    "call",
    "class",
    "classDef",
    "click",
    "constructor",
    "default",
    "digraph",
    "direction",
    "edge",
    "end",
    "end_",
    "endpoint",
    "flowchart",
    "flowchart-elk",
    "graph",
    "hasOwnProperty",
    "href",
    "interpolate",
    "init",
    "isPrototypeOf",
    "linkStyle",
    "linkstyle",
    "node",
    "null",
    "o",
    "o_",
    "ox",
    "propertyIsEnumerable",
    "prototype",
    "strict",
    "style",
    "subgraph",
    "subgraphs",
    "swimlane",
    "swimlane-beta",
    "this",
    "title",
    "toLocaleString",
    "toString",
    "true",
    "undefined",
    "v",
    "valueOf",
    "x",
    "xx",
    "__proto__",
    "__defineGetter__",
    "_self",
    "_blank",
    "_parent",
    "_top",
]

HOSTILE = [
    '"',
    "'",
    '"]',
    '"]; a["',
    "]",
    "[[a]]",
    "{a}",
    "(a)",
    "a|b",
    "a -->|b| c",
    "--o x",
    "a --x b",
    "a\nb",
    "\n",
    "a\n\nend\n",
    "a\r\nb",
    "tab\there",
    "back\\slash",
    "\\",
    "\\n",
    "\\\\n",
    "\\N \\G \\L \\l",
    '\\"',
    "#",
    "#quot;",
    "#35;",
    "&",
    "&quot;",
    "&#34;",
    "&amp;lt;",
    "<b>bold</b>",
    "<br/>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"]\nclick a href "javascript:alert(1)"',
    '"]\n    click a call alert(1)',
    '%%{init: {"securityLevel": "loose"}}%%',
    "%% comment",
    "---\ntitle: x\n---",
    "`code`",
    "```",
    "**bold**",
    "_em_",
    "__init__",
    "~~gone~~",
    "1. one",
    "1) one",
    "- one",
    "+ one",
    "* * *",
    "# title",
    "> quote",
    "[x](javascript:alert(1))",
    "https://www.example.com/?a=1&b=2",
    "mail@example.com",
    "$$x^2$$",
    "$$$",
    "fa:fa-car",
    "fab:fa-github fa:fa-ban",
    "style: #1;",
    "classDef x:#a;",
    ":::executing",
    "a@{ shape: rect }",
    "a & b",
    ";",
    "a;b",
    "ﬂ°quot¶ß",
    "ﬂ°°35¶ß",
    " lead",
    "trail ",
    "two  spaces",
    " ",
    "日本語",
    "עברית",
    "Straße",
    "é",
    "e\u0301",
    "👩\u200d👩\u200d👧",
    "\u202eevil",
    "\u200b",
    "\ufeff",
    "\u2028",
    "\x1b[31m",
    "\x7f\x80\x9f",
    "\uffff",
    "\U0010ffff",
    "a" * 300,
    "0",
    "00",
    "-1",
    "ok",
]


def named(*names: str, **options: Any) -> Workflow:
    workflow = Workflow(**options)
    for name in names:
        workflow.add(name, work())
    return workflow


def crowd(names: list[str]) -> Workflow:
    """Use all names for jobs and workers, groups and what is in them, each after another."""
    workflow = Workflow()
    for index, name in enumerate(names):
        workflow.add(name, Job(f"app.{name}"), deps=names[:index][-1:])
    inner = Workflow()
    for index, name in enumerate(names):
        inner.add_many(name, {name: work()}, deps=names[:index][-1:])
    waits = Workflow()
    for name in names:
        waits.add_signal(name)
    return workflow.add_workflow("a sub", inner, deps=names[-1]).add_workflow("waits", waits)


@st.composite
def workflows(draw: Callable[..., Any], depth: int = 0) -> Workflow:
    texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    every = texts | st.sampled_from(HOSTILE + WORDS)
    names: list[str] = draw(st.lists(every, unique=True, max_size=5 - depth))
    workflow = Workflow()

    for index, name in enumerate(names):
        deps = draw(st.sets(st.sampled_from(names[:index]))) if index else ()
        what = draw(st.integers(-1, 3 if depth < 2 else 1))
        if what < 0:
            workflow.add_timer(name, 60, deps=deps)
        elif what < 2:
            workflow.add(name, Job(f"app.{draw(every)}"), deps=deps)
        elif what == 2:
            workflow.add_many(name, [work() for _ in range(draw(st.integers(0, 3)))], deps=deps)
        else:
            workflow.add_workflow(name, draw(workflows(depth + 1)), deps=deps)

    return workflow


@pytest.fixture(scope="module")
def mermaid() -> Iterator[Mermaid]:
    with Mermaid() as process:
        yield process


@needs_mermaid
@pytest.mark.slow
class TestMermaid:
    def test_understands_jobs_groups_and_edges(self, mermaid: Mermaid) -> None:
        sub = diamond().add_workflow("empty", Workflow(), deps="end")
        workflow = diamond().add_workflow("sub", sub, deps="end").add("after", work(), deps="sub")
        drawing = mermaid.parse(workflow.to_mermaid())
        assert drawing == expected(workflow.to_graph())
        assert (("sub",), ("after (Work)",)) in drawing.edges
        assert ("sub", "empty") in drawing.groups

    def test_understands_all_names_at_once(self, mermaid: Mermaid) -> None:
        workflow = crowd(HOSTILE + WORDS)
        assert mermaid.parse(workflow.to_mermaid()) == expected(workflow.to_graph())

    def test_draws_all_names_as_they_are_and_nothing_else(self, mermaid: Mermaid) -> None:
        _, usual = mermaid.render(named("a").add_workflow("sub", named("b"), deps="a").to_mermaid())
        names = HOSTILE + WORDS
        groups = Workflow()
        for name in names:
            groups.add_many(name, [])
        workflow = named(*names).add_workflow("sub", groups)
        labels, tags = mermaid.render(workflow.to_mermaid())
        drawing = expected(workflow.to_graph())
        wanted = [path[-1] for path in (drawing.jobs + drawing.groups).elements()]
        assert sorted(map(str.split, labels)) == sorted(map(str.split, wanted))
        assert tags <= usual

    @pytest.mark.parametrize("word", WORDS)
    def test_draws_words_of_its_own(self, mermaid: Mermaid, word: str) -> None:
        workflow = named(word).add("next", work(), deps=word)
        workflow.add_workflow("sub", named("a").add_workflow(word, named(word), deps="a"))
        labels, _ = mermaid.render(workflow.to_mermaid())
        assert sorted(labels) == sorted(
            [f"{word} (Work)", "next (Work)", "sub", "a (Work)", word, f"{word} (Work)"]
        )

    def test_mermaid_draws_each_state_in_its_colour(self, mermaid: Mermaid) -> None:
        graph = Graph(vertices={state: Vertex(state, "W", state) for state in FILLS})
        drawing = mermaid.parse(graph.to_mermaid())
        assert drawing == expected(graph)
        assert drawing.fills == {(f"{key} (W)\n{key}",): fill for key, fill in FILLS.items()}

    def test_draws_waits_as_hexagons(self, mermaid: Mermaid) -> None:
        workflow = Workflow().add("a", work()).add_signal("b", deps="a").add_timer("c", 60)
        drawing = mermaid.parse(workflow.to_mermaid())
        assert drawing == expected(workflow.to_graph())
        assert +drawing.hexagons == {("b (SignalWait)",): 1, ("c (TimerWait)",): 1}

    def test_draws_final_jobs_with_round_ends(self, mermaid: Mermaid) -> None:
        workflow = Workflow().add("a", work()).add_final("end", work())
        drawing = mermaid.parse(workflow.to_mermaid())
        assert drawing == expected(workflow.to_graph())
        assert +drawing.round_ends == {("end (Work)",): 1}

    @settings(max_examples=60)
    @given(workflow=workflows())
    def test_mermaid_understands_any_workflow(self, mermaid: Mermaid, workflow: Workflow) -> None:
        assert mermaid.parse(workflow.to_mermaid()) == expected(workflow.to_graph())


@needs_graphviz
@pytest.mark.slow
class TestGraphviz:
    def test_understands_jobs_groups_and_edges(self) -> None:
        sub = diamond().add_workflow("empty", Workflow(), deps="end")
        workflow = diamond().add_workflow("sub", sub, deps="end").add("after", work(), deps="sub")
        drawing = parse_dot(workflow.to_dot())
        assert drawing == expected(workflow.to_graph())
        assert (("sub",), ("after (Work)",)) in drawing.edges

    def test_draws_all_names_as_they_are(self) -> None:
        workflow = crowd(HOSTILE + WORDS)
        assert parse_dot(workflow.to_dot()) == expected(workflow.to_graph())

    def test_draws_edges_between_groups_of_groups(self) -> None:
        outer = Workflow().add_workflow("inner", diamond())
        workflow = (
            Workflow()
            .add_workflow("one", outer)
            .add_workflow("none", Workflow(), deps="one")
            .add_workflow("two", outer, deps="none")
        )
        assert parse_dot(workflow.to_dot()) == expected(workflow.to_graph())

    def test_draws_cycles_and_what_is_unknown(self) -> None:
        sub = Workflow(check_deps=False).add("a", work(), deps="b").add("b", work(), deps="a")
        workflow = Workflow(check_deps=False).add_workflow("sub", sub, deps="?")
        assert parse_dot(workflow.to_dot()) == expected(workflow.to_graph())

    def test_graphviz_draws_a_workflow_without_jobs(self) -> None:
        assert parse_dot(Workflow().to_dot()) == Drawing()

    def test_graphviz_draws_each_state_in_its_colour(self) -> None:
        graph = Graph(vertices={state: Vertex(state, "W", state) for state in FILLS})
        fills = parse_dot(graph.to_dot()).fills
        assert fills == {(f"{key} (W)\n{key}",): fill for key, fill in FILLS.items()}

    def test_draws_waits_as_hexagons(self) -> None:
        workflow = Workflow().add("a", work()).add_signal("b", deps="a").add_timer("c", 60)
        drawing = parse_dot(workflow.to_dot())
        assert drawing == expected(workflow.to_graph())
        assert +drawing.hexagons == {("b (SignalWait)",): 1, ("c (TimerWait)",): 1}

    def test_draws_final_jobs_with_round_ends(self) -> None:
        workflow = Workflow().add("a", work()).add_final("end", work())
        drawing = parse_dot(workflow.to_dot())
        assert drawing == expected(workflow.to_graph())
        assert +drawing.round_ends == {("end (Work)",): 1}

    @settings(max_examples=25)
    @given(workflow=workflows())
    def test_graphviz_understands_any_workflow(self, workflow: Workflow) -> None:
        assert parse_dot(workflow.to_dot()) == expected(workflow.to_graph())


def everything(**options: Any) -> Workflow:
    """Build a -> sub (x -> many (0, 1)) -> grow -> z, and nothing (), all with edges."""
    sub = Workflow().add("x", make_job()).add_many("many", [make_job(), make_job()], deps="x")
    return (
        Workflow(**options)
        .add_cascade("a", flows.extract)
        .add_workflow("sub", sub, deps="a")
        .add_graft("grow", make_job(), deps="sub")
        .add_workflow("nothing", Workflow(), deps=["a", "grow"])
        .add("z", make_job(), deps=["grow", "nothing"])
        .add_signal("approval", deps="z")
    )


def bare(graph: Graph) -> Any:
    """Leave out states, and the order of vertices and edges."""
    members = {
        name: bare(vertex) if isinstance(vertex, Graph) else replace(vertex, state=None)
        for name, vertex in graph.vertices.items()
    }
    return graph.name, graph.kind, members, set(graph.edges)


def states(graph: Graph, path: str = "") -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, vertex in graph.vertices.items():
        if isinstance(vertex, Graph):
            found |= states(vertex, f"{path}{name}/")
        else:
            found[path + name] = vertex.state
    return found


class TestFetchGraph:
    async def test_is_what_was_built_with_states(self, engine: Engine) -> None:
        workflow = everything(id="w", name="nightly")
        await engine.enqueue(workflow)
        graph = await Workflow(id="w").fetch_graph()
        assert bare(graph) == bare(workflow.to_graph())
        assert states(graph) == await engine.states()

    async def test_a_fetched_graph_shows_the_states_of_its_jobs(self, engine: Engine) -> None:
        await engine.enqueue(diamond(id="w"))
        await engine.complete("start")
        await engine.start("left")
        await engine.discard("right")
        graph = await Workflow(id="w").fetch_graph()
        assert states(graph) == {
            "start": "completed",
            "left": "executing",
            "right": "discarded",
            "end": "cancelled",
        }

    async def test_shows_what_was_grafted_after_its_grafter(self, engine: Engine) -> None:
        await engine.enqueue(Workflow("w").add_graft("grow", make_job()))
        (grafter,) = await engine.start("grow/grafter")
        await engine.enqueue(Workflow.apply_graft(grafter, Workflow().add("new", make_job())))
        graft = (await Workflow("w").fetch_graph()).vertices["grow"]
        assert isinstance(graft, Graph)
        assert graft.kind == "graft"
        assert graft.edges == [("grafter", "grafted")]
        assert states(graft) == {"grafter": "executing", "grafted/new": "available"}

    async def test_shows_jobs_whose_rows_are_gone(self, engine: Engine) -> None:
        await engine.enqueue(diamond(id="w"))
        await engine.complete("start")
        await engine.delete("start", "left")
        vertices = (await Workflow("w").fetch_graph()).vertices
        assert vertices["start"] == Vertex("start", None, "completed")
        assert vertices["left"] == Vertex("left", None, "deleted")

    async def test_of_a_job_is_that_of_its_own_workflow(self, engine: Engine) -> None:
        jobs = await engine.enqueue(everything(id="w"))
        (x,) = [job for job in jobs if job.meta["name"] == "x"]
        graph = await Workflow.for_job(x).fetch_graph()
        assert set(states(graph)) == {"x", "many/0", "many/1"}
        assert graph.edges == [("x", "many")]

    async def test_of_an_empty_workflow_is_empty(self, engine: Engine) -> None:
        workflow = Workflow("w").add_workflow("sub", Workflow(id="s")).add("a", make_job())
        await engine.enqueue(workflow)
        assert await Workflow("s").fetch_graph() == Graph()

    async def test_of_no_such_workflow_says_so(self, engine: Engine) -> None:
        with pytest.raises(errors.UnknownWorkflowError, match="there is no workflow 'w' to draw"):
            await Workflow("w").fetch_graph()

    @needs_graphviz
    @needs_mermaid
    async def test_draws_every_name_that_can_be_stored(
        self, engine: Engine, mermaid: Mermaid
    ) -> None:
        await engine.oban.enqueue_many(named(*HOSTILE, *WORDS, id="w"))
        graph = await Workflow("w").fetch_graph()
        assert mermaid.parse(graph.to_mermaid()) == expected(graph)
        assert parse_dot(graph.to_dot()) == expected(graph)
        assert {path[0] for path in expected(graph).jobs} == {
            spelled(f"{name} (Work)\navailable") for name in HOSTILE + WORDS
        }
