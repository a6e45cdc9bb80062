"""The command line, away from the environment of the tests: as a process, or in this one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from oban_pro.__main__ import main

COMMAND = [sys.executable, "-m", "oban_pro"]

SCRIPT = [str(Path(sys.executable).with_name("oban-workflows"))]
"""The installed command. Python puts its directory on the path, and not the current one."""


def environment(dsn: str | None = None) -> dict[str, str]:
    """Return the environment of the tests without what would steer a command."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OBAN_") and name != "COLUMNS"
    }

    return kept | ({"OBAN_DSN": dsn} if dsn else {})


def run_cli(
    *arguments: str,
    cwd: Path,
    dsn: str | None = None,
    command: Sequence[str] = COMMAND,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; ``dsn`` is what OBAN_DSN holds."""
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=environment(dsn) | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def invoke(dsn: str, *arguments: str, **variables: str) -> Result:
    """Run a command in this process, with its output going to a pipe."""
    # A width that the runner of the tests happens to set is not meant for what goes to a pipe.
    env = {"OBAN_DSN": dsn, "COLUMNS": None, **variables}
    done = CliRunner().invoke(main, arguments, env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception

    return done


def assert_one_line(done: Any, code: int = 1) -> str:
    """Fail unless a command, run either way, failed with one line; returns that."""
    assert getattr(done, "exit_code", getattr(done, "returncode", None)) == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1

    return str(done.stderr)


def start_cli(*arguments: str, cwd: Path, dsn: str | None = None) -> subprocess.Popen[str]:
    """Start a command, out of reach of the signals that the terminal of the tests gets."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(dsn),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
