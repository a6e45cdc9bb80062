"""Running commands without the environment of the tests, in a process or in this process."""

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
"""The installed command. Python's path then has its directory, and not the current one."""


def environment(dsn: str | None = None) -> dict[str, str]:
    """Return the environment of the tests without variables that change what a command does."""
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
    """Run a command to its end, with ``dsn`` as OBAN_DSN."""
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
    """Run a command in this process, as if its output went to a pipe."""
    # The test runner may set a width, which must not change output to a pipe.
    env = {"OBAN_DSN": dsn, "COLUMNS": None, **variables}
    done = CliRunner().invoke(main, arguments, env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception

    return done


def assert_one_line(done: Any, code: int = 1) -> str:
    """Fail unless a command failed with one line, and return that line."""
    assert getattr(done, "exit_code", getattr(done, "returncode", None)) == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1

    return str(done.stderr)


def start_cli(*arguments: str, cwd: Path, dsn: str | None = None) -> subprocess.Popen[str]:
    """Start a command that does not get the signals of the tests' terminal."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(dsn),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
