"""Completing ids, names and paths while a command is typed."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from oban_pro import Workflow, sync
from oban_pro.__main__ import main
from oban_pro.cli import completion
from tests.support.cli import environment
from tests.support.graphs import diamond, work

SCRIPT = Path(sys.executable).parent / "oban-workflows"
"""The installed command."""

BASH = """
eval "$(_OBAN_WORKFLOWS_COMPLETE=bash_source {script})"
COMP_WORDS=({script} cancel nightly-1 '')
COMP_CWORD=3
_oban_workflows_completion {script}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def offered(*words: str) -> list[str]:
    """Return what is offered for the last word."""
    *before, incomplete = words
    shell = ShellComplete(main, {}, "oban-workflows", "_OBAN_WORKFLOWS_COMPLETE")

    return [item.value for item in shell.get_completions(before, incomplete)]


@pytest.fixture
def workflows(dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OBAN_DSN", dsn)
    nested = Workflow().add("a/b", work()).add("c", work())
    sync.enqueue(diamond(id="nightly-1", name="etl").add_workflow("sub", nested), dsn)
    sync.enqueue(diamond(id="nightly-2", name="etl"), dsn)
    sync.enqueue(diamond(id="other\n"), dsn)

    return dsn


class TestCompletion:
    def test_offers_ids_newest_first(self, workflows: str) -> None:
        for command in ("show", "cancel", "retry", "watch", "graph", "doctor", "explain", "signal"):
            assert offered(command, "n") == ["nightly-2", "nightly-1"]

        # Not what no shell could type.
        assert offered("show", "") == ["nightly-2", "nightly-1"]
        assert offered("show", "nightly-1") == ["nightly-1"]
        assert offered("show", "xyz") == []

    def test_offers_ids_by_the_names_of_workflows(self, workflows: str) -> None:
        assert offered("show", "et") == ["nightly-2", "nightly-1"]

    def test_offers_members_and_paths(self, workflows: str) -> None:
        assert set(offered("explain", "nightly-1", "")) == {"start", "left", "right", "end", "sub"}
        assert offered("signal", "nightly-1", "s") in (["start", "sub"], ["sub", "start"])
        assert offered("explain", "nightly-1", "sub/") == [r"sub/a\/b", "sub/c"]
        assert offered("cancel", "nightly-1", "start", "s") == ["sub"]
        assert offered("explain", "nobody", "") == []

    def test_offers_nothing_of_a_huge_group(
        self, workflows: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(completion, "MAX_MEMBERS", 2)
        assert offered("explain", "nightly-1", "") == []
        assert len(offered("explain", "nightly-1", "sub/")) == 2

    def test_offers_nothing_without_a_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OBAN_DSN", "postgresql://127.0.0.1:1/nowhere")
        assert offered("show", "") == []
        assert offered("show", "--dsn", "postgresql://a@b@c", "") == []

    def test_takes_the_database_from_the_options(
        self, workflows: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OBAN_DSN")
        assert offered("show", "--dsn", workflows, "nightly-1") == ["nightly-1"]
        assert offered("show", "--dsn", workflows, "--prefix", "nowhere", "n") == []

    @pytest.mark.skipif(not SCRIPT.exists(), reason="the command is not installed")
    def test_bash_completes_commands_and_ids(self, workflows: str) -> None:
        done = subprocess.run(
            ["bash", "-c", BASH.format(script=SCRIPT)],
            env=environment(workflows),
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert {*done.stdout.split()} == {"start", "left", "right", "end", "sub"}
