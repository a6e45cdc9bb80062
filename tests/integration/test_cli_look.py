"""The commands that look at workflows."""

import asyncio
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, settings
from oban_pro.testing import run_workflow
from tests.support.cli import COMMAND, assert_one_line, environment, invoke, run_cli, start_cli
from tests.support.databases import Server
from tests.support.graphs import diamond, work

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nowhere"

LOOKING = [
    ["list"],
    ["show", "w"],
    ["watch", "w"],
    ["graph", "w"],
    ["cancel", "w"],
    ["retry", "w"],
    ["explain", "w", "a"],
    ["doctor"],
]


def nightly() -> Workflow:
    """Build one that is nested and fails in part."""
    deep = (
        Workflow()
        .add("y", work())
        .add("bad", work("fail", max_attempts=2), deps="y")
        .add("after", work(), deps="bad")
    )
    clean = Workflow().add("x", work()).add_workflow("deep", deep, deps="x")
    return (
        Workflow(id="nightly-7", name="nightly etl")
        .add("extract", work())
        .add_workflow("clean", clean, deps="extract")
        .add_many("pages", [work() for _ in range(3)], deps="extract")
        .add("load", work(), deps=["clean", "pages"])
    )


def undone() -> Workflow:
    """Build one that is undone, and has a final job."""
    return (
        Workflow(id="w")
        .add("a", work(), undo=work())
        .add("b", work("fail", max_attempts=1), deps="a")
        .add_final("end", work())
    )


async def arrange(dsn: str, *, run: list[Workflow], enqueue: list[Workflow]) -> None:
    async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
        oban = Oban(pool=pool)

        for workflow in enqueue:
            await oban.enqueue_many(workflow)

        for workflow in run:
            await run_workflow(workflow, with_safety=True)


@pytest.fixture(scope="module")
def site(postgres: Server, template: str) -> Iterator[str]:
    """Provide a database that tests only look at."""
    waiting = (
        Workflow(id="waiting", name="waits for a queue")
        .add("a", work(queue="nobody"))
        .add("b", work(), deps="a")
    )

    with postgres.database(template) as name:
        dsn = postgres.dsn(name)
        asyncio.run(arrange(dsn, run=[nightly(), diamond(id="small")], enqueue=[waiting]))
        yield dsn


def look(dsn: str, *arguments: str, **variables: str) -> str:
    done = invoke(dsn, *arguments, **variables)
    assert (done.exit_code, done.stderr) == (0, "")

    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def look_json(dsn: str, *arguments: str) -> Any:
    return orjson.loads(look(dsn, *arguments, "--json"))


def in_terminal(*arguments: str, dsn: str, cwd: Path) -> tuple[int, str]:
    """Run a command in a terminal of 80 columns; returns its exit code and all it wrote."""
    ours, theirs = pty.openpty()
    variables = environment(dsn) | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen([*COMMAND, *arguments], cwd=cwd, env=variables, stdout=theirs)
    os.close(theirs)
    written = b""

    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while chunk := terminal.read(4096):
                written += chunk
        except OSError:
            # the other end is closed
            pass

    return process.wait(timeout=10), written.decode()


class TestWhateverIsWrong:
    @pytest.mark.parametrize("arguments", LOOKING, ids=lambda arguments: arguments[0])
    def test_with_the_database_takes_one_line(self, arguments: list[str]) -> None:
        assert "database" in assert_one_line(invoke(UNREACHABLE, *arguments))

    @pytest.mark.parametrize("arguments", LOOKING, ids=lambda arguments: arguments[0])
    def test_with_the_tables_takes_one_line(self, arguments: list[str], empty_dsn: str) -> None:
        message = assert_one_line(invoke(empty_dsn, *arguments))
        assert "tables are missing" in message
        assert "oban-workflows install" in message

    @pytest.mark.parametrize(
        "arguments", [*LOOKING[1:-1], ["doctor", "w"]], ids=lambda arguments: arguments[0]
    )
    def test_with_the_id_takes_one_line(self, arguments: list[str], dsn: str) -> None:
        assert "no workflow 'w'" in assert_one_line(invoke(dsn, *arguments))

    def test_with_all_of_it_takes_one_line_of_a_process_too(
        self, site: str, tmp_path: Path
    ) -> None:
        assert_one_line(run_cli("show", "w", cwd=tmp_path, dsn=site))
        assert_one_line(run_cli("list", cwd=tmp_path, dsn=UNREACHABLE))

    @pytest.mark.parametrize(
        ("wrong", "suggested"),
        [
            ("nigtly-7", "nightly-7 (nightly etl)"),
            ("nightly", "nightly-7 (nightly etl)"),
            ("nightly elt", "nightly-7 (nightly etl)"),
            ("SMALL", "small"),
        ],
    )
    def test_with_an_id_suggests_what_comes_close(
        self, wrong: str, suggested: str, site: str
    ) -> None:
        message = assert_one_line(invoke(site, "show", wrong))
        assert f"did you mean {suggested}?" in message

    def test_with_a_name_suggests_what_comes_close(self, site: str) -> None:
        message = assert_one_line(invoke(site, "explain", "nightly-7", "clean/deep/bda"))
        assert "did you mean 'clean/deep/bad'?" in message

    def test_with_the_prefix_names_it(self, site: str) -> None:
        message = assert_one_line(invoke(site, "list", "--prefix", "elsewhere"))
        assert "'elsewhere'" in message


class TestList:
    def test_shows_the_newest_first(self, site: str) -> None:
        lines = look(site, "list").splitlines()
        assert lines[0].split() == ["State", "Id", "Name", "Done", "Age", "Took"]
        assert [line.split()[:2] for line in lines[1:]] == [
            ["completed", "small"],
            ["discarded", "nightly-7"],
            ["executing", "waiting"],
        ]

    def test_filters_by_state_and_text(self, site: str) -> None:
        found = look_json(site, "list", "--state", "executing", "--state", "discarded")
        assert [root["id"] for root in found] == ["nightly-7", "waiting"]
        assert [root["id"] for root in look_json(site, "list", "ETL")] == ["nightly-7"]
        assert [root["id"] for root in look_json(site, "list", "sma")] == ["small"]
        assert look_json(site, "list", "sma", "--state", "executing") == []
        assert [root["id"] for root in look_json(site, "list", "--name", "etl")] == ["nightly-7"]
        assert look_json(site, "list", "--name", "nightly-7") == []
        assert look(site, "list", "nothing") == "No such workflows."

    def test_says_when_there_are_more(self, site: str) -> None:
        assert len(look_json(site, "list", "--limit", "2")) == 2
        assert "There are more" in look(site, "list", "--limit", "2")
        assert "There are more" not in look(site, "list", "--limit", "3")

    def test_list_prints_workflows_as_json(self, site: str) -> None:
        (root,) = look_json(site, "list", "nightly")
        times = {key: root.pop(key) for key in ("inserted_at", "started_at", "stopped_at")}
        assert all(time.endswith("+00:00") for time in times.values())
        assert root.pop("duration") > 0
        assert root == {
            "id": "nightly-7",
            "name": "nightly etl",
            "state": "discarded",
            "total": 9,
            "suspended": 0,
            "completed": 6,
            "cancelled": 2,
            "discarded": 1,
            "unique_key": None,
            "is_queued": False,
            "url": None,
        }

    def test_lists_who_holds_a_key_and_who_waits(self, dsn: str) -> None:
        async def enqueue() -> None:
            async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
                oban = Oban(pool=pool)

                for id in ("a", "b"):
                    workflow = Workflow(id=id, unique="k", on_conflict="queue")
                    await oban.enqueue_many(workflow.add("x", work()))

        asyncio.run(enqueue())
        listed = look_json(dsn, "list", "--key", "k")
        assert [(one["id"], one["is_queued"]) for one in listed] == [("b", True), ("a", False)]
        assert "in line" in invoke(dsn, "list", "--key", "k").stdout
        assert look_json(dsn, "list", "--key", "l") == []

    def test_of_nothing_says_so(self, dsn: str) -> None:
        assert look(dsn, "list") == "No workflows."
        assert look_json(dsn, "list") == []

    def test_keeps_ids_whole_at_80_columns(self, dsn: str) -> None:
        workflow = diamond(name="a workflow with a name that is rather long")
        asyncio.run(arrange(dsn, run=[workflow], enqueue=[]))
        shown = look(dsn, "list", COLUMNS="80")
        assert workflow.id in shown
        assert all(len(line) <= 80 for line in shown.splitlines())


class TestShow:
    def test_draws_the_tree_and_what_failed(self, site: str) -> None:
        lines = look(site, "show", "nightly-7").splitlines()
        heading = "Workflow nightly-7 (nightly etl) is discarded: 6 of 9 jobs completed in "
        assert lines[0].startswith(heading)
        bar = "━" * 20
        assert lines[2:] == [
            f"nightly etl  {bar}  6/9  2 cancelled  1 discarded",
            f"  clean      {bar}  2/4  1 cancelled  1 discarded",
            f"    deep     {bar}  1/3  1 cancelled  1 discarded",
            f"  pages      {bar}  3/3",
            "",
            "Failed",
            "  clean/deep/bad    discarded  2/2   RuntimeError: told to fail",
            "  clean/deep/after  cancelled  0/20"
            "  cancelled because upstream job 'bad' was discarded",
            "  load              cancelled  0/20"
            "  cancelled because upstream sub-workflow 'clean' was discarded",
            "",
            "More about one of them: oban-workflows explain ID NAME",
        ]

    def test_calls_a_grafter_by_the_name_of_its_graft(self, dsn: str) -> None:
        workflow = Workflow(id="w").add("bad", work("fail", max_attempts=1))
        workflow.add_graft("more", work(), deps="bad")
        asyncio.run(arrange(dsn, run=[workflow], enqueue=[]))
        failed = look_json(dsn, "show", "w")["failed"]
        assert [job["path"] for job in failed] == [["bad"], ["more"]]
        assert "'more' was cancelled" in look(dsn, "explain", "w", "more")

    @pytest.mark.parametrize("attempt", [1, 2])
    def test_show_names_the_jobs_that_run(self, dsn: str, attempt: int) -> None:
        asyncio.run(arrange(dsn, run=[], enqueue=[diamond(id="w")]))
        # as oban starts a job
        with psycopg.connect(dsn) as conn:
            conn.execute(
                "UPDATE oban_jobs SET state = 'executing', attempt = %s, attempted_at = now() AT"
                " TIME ZONE 'UTC', attempted_by = '{host}' WHERE state = 'available'",
                [attempt],
            )

        shown = look(dsn, "show", "w")
        assert f"Running\n  start  executing  {attempt}/20  for " in shown
        assert [job["path"] for job in look_json(dsn, "show", "w")["running"]] == [["start"]]

    def test_show_cuts_long_lists_at_the_limit(self, site: str) -> None:
        shown = look(site, "show", "nightly-7", "--limit", "1")
        assert "  … and 2 more" in shown
        assert "clean/deep/after" not in shown

    def test_show_prints_a_workflow_as_json(self, site: str) -> None:
        shown = look_json(site, "show", "nightly-7")
        assert shown.keys() == {
            *("id", "name", "state", "total", "counts", "started_at", "stopped_at"),
            *("retried_at", "waits", "open_waits", "attributes", "ends"),
            *("limit", "paused_at", "paused_by"),
            *("duration", "subs", "running", "failed", "url"),
        }
        assert shown["counts"] == {"completed": 6, "cancelled": 2, "discarded": 1}
        deep = shown["subs"]["clean"]["subs"]["deep"]
        assert (deep["state"], deep["total"]) == ("discarded", 3)
        failed = shown["failed"][0]
        assert failed.pop("error").endswith("RuntimeError: told to fail\n")
        assert failed.pop("attempted_at").endswith("+00:00")
        assert failed == {
            "path": ["clean", "deep", "bad"],
            "state": "discarded",
            "attempt": 2,
            "max_attempts": 2,
            "message": "RuntimeError: told to fail",
            "caused": False,
        }

    def test_lists_final_jobs_and_what_undoes(self, dsn: str) -> None:
        sub = Workflow().add("x", work()).add_final("f", work(), on="failed")
        workflow = undone().add_workflow("sub", sub)
        asyncio.run(arrange(dsn, run=[workflow], enqueue=[]))
        ends = [("undo", "completed"), ("end", "completed"), ("sub/f", "skipped")]
        lines = [tuple(line.split()) for line in look(dsn, "show", "w").splitlines()]
        assert lines[(at := lines.index(("Undo", "and", "final", "jobs"))) + 1 : at + 4] == ends
        found = orjson.loads(look(dsn, "show", "w", "--json"))["ends"]
        assert [("/".join(end["path"]), end["state"]) for end in found] == ends
        assert "… and more" in look(dsn, "show", "w", "--limit", "2")

    def test_fits_a_terminal_and_is_plain_in_a_pipe(self, site: str, tmp_path: Path) -> None:
        code, shown = in_terminal("show", "nightly-7", dsn=site, cwd=tmp_path)
        assert code == 0
        assert "\x1b[" in shown
        piped = run_cli("show", "nightly-7", cwd=tmp_path, dsn=site).stdout
        assert "\x1b" not in piped
        assert "'clean' was discarded" in piped
        narrow = look(site, "show", "nightly-7", COLUMNS="80")
        assert all(len(line) <= 80 for line in narrow.splitlines())


@pytest.mark.slow
class TestWatch:
    @pytest.mark.parametrize(
        ("do", "state", "code"),
        [(None, "completed", 0), ("cancel", "cancelled", 3), ("fail", "discarded", 4)],
    )
    def test_exits_with_a_code_for_the_final_state(
        self, do: str | None, state: str, code: int, dsn: str
    ) -> None:
        workflow = Workflow(id="w").add("a", work(do, max_attempts=1))
        asyncio.run(arrange(dsn, run=[workflow], enqueue=[]))
        done = invoke(dsn, "watch", "w")
        assert (done.exit_code, done.stderr) == (code, "")
        assert f"Workflow w is {state}: " in done.stdout

    def test_goes_on_until_the_workflow_has_settled(self, dsn: str, tmp_path: Path) -> None:
        asyncio.run(arrange(dsn, run=[], enqueue=[diamond(id="w")]))
        watching = start_cli("watch", "w", "--interval", "0.05", cwd=tmp_path, dsn=dsn)
        assert watching.stdout is not None
        assert watching.stdout.readline().strip() == "1 available  3 suspended"
        asyncio.run(arrange(dsn, run=[diamond(id="w")], enqueue=[]))
        rest, _ = watching.communicate(timeout=20)
        assert watching.returncode == 0
        assert rest.splitlines()[-2].strip() == "4 completed"
        assert rest.splitlines()[-1].startswith("Workflow w is completed: 4 of 4 jobs")

    def test_tells_of_final_jobs_and_undos(self, dsn: str, tmp_path: Path) -> None:
        asyncio.run(arrange(dsn, run=[undone()], enqueue=[]))
        lines = invoke(dsn, "watch", "w").stdout.splitlines()
        assert lines[1:3] == ["  undo is completed", "  end is completed"]
        _, shown = in_terminal("watch", "w", dsn=dsn, cwd=tmp_path)
        assert "Undo and final jobs" in shown

    def test_prints_a_line_of_json_for_each_change(self, dsn: str, tmp_path: Path) -> None:
        asyncio.run(arrange(dsn, run=[], enqueue=[diamond(id="w")]))
        watching = start_cli("watch", "w", "--json", "--interval", "0.05", cwd=tmp_path, dsn=dsn)
        assert watching.stdout is not None
        assert orjson.loads(watching.stdout.readline())["counts"]["suspended"] == 3
        asyncio.run(arrange(dsn, run=[diamond(id="w")], enqueue=[]))
        rest, _ = watching.communicate(timeout=20)
        last = orjson.loads(rest.splitlines()[-1])
        assert (last["state"], last["counts"]) == ("completed", {"completed": 4})

    def test_redraws_in_a_terminal(self, site: str, tmp_path: Path) -> None:
        code, shown = in_terminal("watch", "nightly-7", dsn=site, cwd=tmp_path)
        assert code == 4
        assert "pages" in shown

    def test_is_interrupted_without_a_traceback(self, site: str, tmp_path: Path) -> None:
        watching = start_cli("watch", "waiting", cwd=tmp_path, dsn=site)
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        rest, _ = watching.communicate(timeout=20)
        assert watching.returncode == 130
        assert "Traceback" not in rest


class TestGraph:
    def test_draws_mermaid_with_states(self, site: str) -> None:
        drawing = look(site, "graph", "nightly-7")
        assert drawing.startswith("flowchart")
        assert "discarded" in drawing

    def test_draws_dot_into_a_file(self, site: str, tmp_path: Path) -> None:
        target = tmp_path / "nightly.dot"
        assert look(site, "graph", "nightly-7", "--format", "dot", "--output", str(target)) == ""
        assert target.read_text("utf-8").startswith("digraph")

    def test_graph_prints_vertices_and_edges_as_json(self, site: str) -> None:
        graph = look_json(site, "graph", "nightly-7")
        assert graph.keys() == {"name", "kind", "needs", "tolerates", "vertices", "edges"}
        assert ["extract", "clean"] in graph["edges"]
        deep = graph["vertices"]["clean"]["vertices"]["deep"]
        assert (deep["kind"], deep["edges"]) == ("sub", [["y", "bad"], ["bad", "after"]])
        assert deep["vertices"]["bad"] == {
            "name": "bad",
            "worker": "Work",
            "state": "discarded",
            "is_wait": False,
            "needs": None,
            "is_final": False,
        }

    def test_says_where_it_cannot_write(self, site: str, tmp_path: Path) -> None:
        target = str(tmp_path / "missing" / "nightly.dot")
        assert "--output" in assert_one_line(invoke(site, "graph", "small", "--output", target))

    def test_has_graphviz_draw_svg(self, site: str, tmp_path: Path) -> None:
        # A stand-in proves what is passed on, and that it is found on PATH.
        program = tmp_path / "dot"
        program.write_text('#!/bin/sh\necho "<svg $1>"\ngrep -c digraph\n')
        program.chmod(0o755)
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        drawing = look(site, "graph", "nightly-7", "--format", "svg", PATH=path)
        assert drawing.splitlines() == ["<svg -Tsvg>", "1"]

    def test_says_that_graphviz_is_missing(self, site: str, tmp_path: Path) -> None:
        done = invoke(site, "graph", "small", "--format", "svg", PATH=str(tmp_path))
        assert "Graphviz" in assert_one_line(done)


class TestExplain:
    def test_prints_the_way_to_the_cause_and_its_error(self, site: str) -> None:
        lines = look(site, "explain", "nightly-7", "load").splitlines()
        assert lines[:9] == [
            "Job 'load' was cancelled because job 'clean/deep/bad' was discarded after 2 of 2"
            " attempts: RuntimeError: told to fail.",
            "",
            "  load                     cancelled",
            "  └─ clean                 discarded  sub-workflow",
            "     └─ clean/deep         discarded  sub-workflow",
            "        └─ clean/deep/bad  discarded",
            "",
            "Last error of clean/deep/bad",
            "  Traceback (most recent call last):",
        ]
        assert "support/graphs.py" in lines[9]
        assert lines[10] == '      raise RuntimeError("told to fail")'
        assert lines[11:] == [
            "  RuntimeError: told to fail",
            "",
            "Frames of oban and asyncio are left out: see --full.",
        ]

    def test_prints_all_frames_where_told(self, site: str) -> None:
        lines = look(site, "explain", "nightly-7", "load", "--full").splitlines()
        assert "oban/_executor.py" in lines[9]
        assert lines[-1] == "  RuntimeError: told to fail"

    def test_keeps_the_error_whole_in_json(self, site: str) -> None:
        cause = look_json(site, "explain", "nightly-7", "load")["chain"][-1]
        assert "oban/_executor.py" in cause["error"]

    def test_explain_prints_the_chain_as_json(self, site: str) -> None:
        shown = look_json(site, "explain", "waiting", "b")
        assert shown.pop("at").endswith("+00:00")
        chain = shown.pop("chain")
        assert [(link["path"], link["state"], link["queue"]) for link in chain] == [
            (["b"], "suspended", "default"),
            (["a"], "available", "nobody"),
        ]
        assert shown == {
            "workflow_id": "waiting",
            "path": ["b"],
            "kind": "job",
            "state": "suspended",
            "reason": "waiting",
            "summary": "job 'b' waits for its dependency; job 'a' could run, but no node runs"
            " queue 'nobody'",
            "dependencies": 1,
            "waits_for": [
                {
                    "path": ["a"],
                    "kind": "job",
                    "state": "available",
                    "satisfied": False,
                    "error": None,
                    "need": None,
                    "skipped": False,
                    "failures": None,
                    "would_break": False,
                }
            ],
        }

    def test_shows_both_ends_of_a_long_way(self, dsn: str) -> None:
        workflow = Workflow(id="w").add("0", work("cancel"))

        for number in range(1, 30):
            workflow.add(f"{number}", work(), deps=f"{number - 1}")

        asyncio.run(arrange(dsn, run=[workflow], enqueue=[]))
        shown = look(dsn, "explain", "w", "29", COLUMNS="80")
        assert "… 20 more" in shown
        assert shown.splitlines()[-1].split() == ["└─", "0", "cancelled"]


class TestHelp:
    def test_says_one_sentence_about_each_command(self) -> None:
        lines = look("", "--help").splitlines()
        commands = lines[lines.index("Commands:") + 1 :]
        ours = {"cancel", "doctor", "explain", "graph", "list", "retry", "show", "watch"}
        assert ours <= {line.split()[0] for line in commands}
        assert not [line for line in commands if line.split()[0] in ours and "..." in line]


class TestPermalinks:
    def test_are_printed_where_the_dashboard_is_known(self, site: str) -> None:
        page = "http://dash/workflows/nightly-7"
        settings.reset()
        assert page not in look(site, "show", "nightly-7")

        for arguments, url in (
            (["show", "nightly-7"], page),
            (["explain", "nightly-7", "load"], f"{page}?q=load"),
        ):
            settings.reset()
            assert url in look(site, *arguments, OBAN_WEB_URL="http://dash/").splitlines()

    def test_are_in_json_and_in_lists(self, site: str) -> None:
        page = "http://dash/workflows/nightly-7"

        for variables, url in (({}, None), ({"OBAN_WEB_URL": "http://dash"}, page)):
            settings.reset()
            assert (
                orjson.loads(look(site, "show", "nightly-7", "--json", **variables))["url"] == url
            )
            settings.reset()
            (root,) = orjson.loads(look(site, "list", "nightly-7", "--json", **variables))
            assert root["url"] == url
            settings.reset()
            assert (page in look(site, "list", "nightly-7", **variables)) == (url is not None)

    def test_are_behind_the_ids_of_a_list_in_a_terminal(
        self, site: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        settings.reset()
        shown = look(site, "list", "nightly-7", OBAN_WEB_URL="http://dash")
        assert ";http://dash/workflows/nightly-7\x1b\\nightly-7" in shown

    def test_are_opened_in_a_browser(self, site: str, tmp_path: Path) -> None:
        browser = tmp_path / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
        browser.chmod(0o755)
        variables = {"OBAN_WEB_URL": "http://dash", "BROWSER": f"{browser} %s"}
        done = subprocess.run(
            [*COMMAND, "show", "nightly-7", "--open"],
            cwd=tmp_path,
            env=environment(site) | variables,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "opened").read_text() == "http://dash/workflows/nightly-7\n"

    def test_are_not_opened_where_nobody_told_which_dashboard(self, site: str) -> None:
        settings.reset()
        done = invoke(site, "show", "nightly-7", "--open")
        assert done.exit_code == 2
        assert "OBAN_WEB_URL" in done.stderr
