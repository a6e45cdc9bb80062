"""Graphs and how they are spelled; what the real tools make of it is in test_drawing."""

import re
from typing import Any

import pytest
from oban import Job, Worker, worker

from oban_pro import Graph, Vertex, Workflow, from_result
from oban_pro.render import Drawn, stored_graph
from tests.support import flows
from tests.support.graphs import diamond, work


@worker()
class SetupWorker(Worker):
    async def process(self, job: Job) -> None: ...


@worker()
class ProcessWorker(Worker):
    async def process(self, job: Job) -> None: ...


@worker()
class FinishWorker(Worker):
    async def process(self, job: Job) -> None: ...


def example() -> Workflow:
    """Build the example of the specification."""
    return (
        Workflow()
        .add("setup", SetupWorker.new({}))
        .add("process_a", ProcessWorker.new({}), deps="setup")
        .add("process_b", ProcessWorker.new({}), deps="setup")
        .add("finish", FinishWorker.new({}), deps=["process_a", "process_b"])
    )


def nested() -> Workflow:
    """Build a -> sub (x -> many (0, 1)) -> grow."""
    sub = Workflow().add("x", work()).add_many("many", [work(), work()], deps="x")
    return (
        Workflow(name="nightly")
        .add("a", work())
        .add_workflow("sub", sub, deps="a")
        .add_graft("grow", work(), deps="sub")
    )


def ids(workflow: Workflow) -> list[str]:
    """List the ids that mermaid gets, jobs and groups, as they come."""
    return re.findall(r"^ +(?:subgraph )?(\w+)\[", workflow.to_mermaid(), re.MULTILINE)


def named(*names: str) -> Workflow:
    workflow = Workflow()
    for name in names:
        workflow.add(name, work())
    return workflow


class TestToGraph:
    def test_holds_jobs_by_name_and_edges_downstream(self) -> None:
        graph = diamond(name="nightly").to_graph()
        assert graph == Graph(
            "nightly",
            "workflow",
            {name: Vertex(name, "Work") for name in ("start", "left", "right", "end")},
            [("start", "left"), ("start", "right"), ("left", "end"), ("right", "end")],
        )

    def test_nests_a_graph_for_each_group(self) -> None:
        job = Vertex("x", "Work")
        many = Graph("many", "fan_out", {name: Vertex(name, "Work") for name in "01"})
        assert nested().to_graph().vertices == {
            "a": Vertex("a", "Work"),
            "sub": Graph("sub", "sub", {"x": job, "many": many}, [("x", "many")]),
            "grow": Graph("grow", "graft", {"grafter": Vertex("grafter", "Work")}),
        }
        assert nested().to_graph().edges == [("a", "sub"), ("sub", "grow")]

    def test_names_the_functions_of_cascades(self) -> None:
        workflow = (
            Workflow()
            .add_cascade("one", flows.extract)
            .add_cascade("many", ([1], flows.process_user), deps="one")
            .add_cascade("later", (from_result("one"), flows.see_item), deps="one")
        )
        one, many, later = workflow.to_graph().vertices.values()
        assert one == Vertex("one", "extract")
        assert many == Graph("many", "fan_out", {"0": Vertex("0", "process_user")})
        assert later == Graph("later", "graft", {"grafter": Vertex("grafter", "see_item")})

    def test_names_the_worker_of_a_job_that_has_a_handler_of_its_own(self) -> None:
        workflow = Workflow().add("a", work(meta={"handler": "some.thing"}))
        assert workflow.to_graph().vertices == {"a": Vertex("a", "Work")}

    def test_shows_what_nobody_added_without_a_worker(self) -> None:
        workflow = Workflow(check_deps=False).add("b", work(), deps="a")
        assert workflow.to_graph().vertices == {"b": Vertex("b", "Work"), "a": Vertex("a")}

    def test_a_graph_shows_a_cycle(self) -> None:
        workflow = Workflow(check_deps=False).add("a", work(), deps="b").add("b", work(), deps="a")
        assert workflow.to_graph().edges == [("b", "a"), ("a", "b")]

    def test_of_nothing_is_empty(self) -> None:
        assert Workflow().to_graph() == Graph()


class TestStoredGraph:
    def test_takes_groups_of_any_depth_and_edges_to_what_comes_later(self) -> None:
        rows = [
            Drawn(-1, None, "nightly", "workflow", None, None, None, []),
            Drawn(-2, -1, "grow", "graft", None, None, None, [5]),
            Drawn(5, -1, "a", "job", "oban_pro.workers.Cascade", "m.f", "completed", []),
            Drawn(-3, -2, "grafted", "sub", None, None, None, []),
            Drawn(6, -2, "grafter", "job", "app.Grow", None, "completed", []),
            Drawn(7, -3, "gone", "job", None, None, "deleted", []),
        ]
        grafted = Graph("grafted", "sub", {"gone": Vertex("gone", None, "deleted")})
        grafter = Vertex("grafter", "Grow", "completed")
        assert stored_graph(rows) == Graph(
            "nightly",
            "workflow",
            {
                "grow": Graph(
                    "grow",
                    "graft",
                    {"grafted": grafted, "grafter": grafter},
                    [("grafter", "grafted")],
                ),
                "a": Vertex("a", "f", "completed"),
            },
            [("a", "grow")],
        )


class TestToMermaid:
    def test_spells_the_example_of_the_specification(self) -> None:
        assert example().to_mermaid() == (
            "flowchart TD\n"
            '    setup["setup (SetupWorker)"]\n'
            '    process_a["process_a (ProcessWorker)"]\n'
            '    process_b["process_b (ProcessWorker)"]\n'
            '    finish["finish (FinishWorker)"]\n'
            "    setup --> process_a\n"
            "    setup --> process_b\n"
            "    process_a --> finish\n"
            "    process_b --> finish\n"
        )

    def test_spells_groups_as_subgraphs(self) -> None:
        assert nested().to_mermaid() == (
            "flowchart TD\n"
            '    a["a (Work)"]\n'
            '    subgraph sub["sub"]\n'
            '        sub_x["x (Work)"]\n'
            '        subgraph sub_many["many"]\n'
            '            sub_many_0["0 (Work)"]\n'
            '            sub_many_1["1 (Work)"]\n'
            "        end\n"
            "        sub_x --> sub_many\n"
            "    end\n"
            '    subgraph grow["grow"]\n'
            '        grow_grafter["grafter (Work)"]\n'
            "    end\n"
            "    a --> sub\n"
            "    sub --> grow\n"
        )

    def test_colours_states_that_occur(self) -> None:
        graph = Graph(vertices={"a": Vertex("a", "A", "executing"), "b": Vertex("b", None, "odd")})
        assert graph.to_mermaid() == (
            "flowchart TD\n"
            '    a["a (A)<br/>executing"]:::executing\n'
            '    b["b<br/>odd"]\n'
            "    classDef executing fill:#fde68a,color:#111827\n"
        )

    @pytest.mark.parametrize(
        ("name", "label"),
        [
            ("plain name-1_b", "plain name-1_b"),
            ("日本 Straße", "日本 Straße"),
            ('say "hi"', "say#32;#34;hi#34;"),
            ("#35;", "#35;35#59;"),
            ("two\nlines", "two<br/>lines"),
            ("tab\t", "tab#92;t"),
            ("_a", "#95;a"),
        ],
    )
    def test_mermaid_text_has_escaped_labels(self, name: str, label: str) -> None:
        assert f'["{label} (Work)"]' in named(name).to_mermaid()


class TestIds:
    def test_are_the_names_where_these_are_simple(self) -> None:
        assert ids(named("a", "load_2", "Xx", "endpoint")) == ["a", "load_2", "Xx", "endpoint"]

    def test_are_made_of_the_names_where_these_are_not(self) -> None:
        assert ids(named("a b", "1", "_c", "日本", "{}")) == ["a_b", "n1", "c", "n", "n_2"]

    @pytest.mark.parametrize("word", ["end", "END", "subgraph", "click", "toString"])
    def test_are_no_reserved_words(self, word: str) -> None:
        assert ids(named(word)) == [f"{word}_"]

    def test_are_the_names_even_where_another_looks_the_same(self) -> None:
        assert ids(named("a b", "a-b", "a_b", "a_b_2")) == ["a_b_3", "a_b_4", "a_b", "a_b_2"]

    def test_differ_for_equal_names_in_different_groups(self) -> None:
        workflow = (
            Workflow()
            .add("x_y", work())
            .add_workflow("x", named("y", "x"))
            .add_workflow("y", named("x", "y"))
        )
        assert ids(workflow) == ["x_y", "x", "x_y_2", "x_x", "y", "y_x", "y_y"]

    def test_are_found_for_many_equal_ones(self) -> None:
        many = ids(named(*map(chr, range(0x4E00, 0x4E00 + 5000))))
        assert len(set(many)) == 5000


class TestToDot:
    def test_attaches_edges_of_groups_to_jobs_in_them(self) -> None:
        text = nested().to_dot()
        assert '"a" -> "sub_x" [lhead="cluster_sub"];' in text
        assert '"sub_x" -> "sub_many_1" [lhead="cluster_sub_many"];' in text
        assert '"sub_many_1" -> "grow_grafter" [ltail="cluster_sub", lhead="cluster_grow"]' in text

    def test_dot_text_has_quoted_labels(self) -> None:
        assert r'[label="\"a\\\" &amp;lt;\nb (Work)"];' in named('"a\\" &lt;\nb').to_dot()


class TestNotebook:
    def test_shows_the_drawing_of_what_was_built(self) -> None:
        workflow = example()
        text = workflow.to_mermaid()
        assert workflow._repr_mimebundle_() == {
            "text/plain": repr(workflow),
            "text/vnd.mermaid": text,
            "text/markdown": f"```mermaid\n{text}```\n",
        }

    def test_a_notebook_shows_a_graph(self) -> None:
        graph: Any = example().to_graph()
        assert graph._repr_mimebundle_(None, None)["text/vnd.mermaid"] == graph.to_mermaid()

    def test_shows_a_handle_as_text(self) -> None:
        assert list(Workflow(id="w")._repr_mimebundle_()) == ["text/plain"]

    def test_never_closes_the_fence(self) -> None:
        bundle = named("```", "\n```\n")._repr_mimebundle_()
        assert bundle["text/markdown"].count("```") == 2
