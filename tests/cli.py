"""The command line as a process of its own, away from the environment of the tests."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "oban_pro"]


def environment(dsn: str | None = None) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OBAN_") and name != "COLUMNS"
    }

    return kept | ({"OBAN_DSN": dsn} if dsn else {})


def run_cli(*arguments: str, cwd: Path, dsn: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; ``dsn`` is what OBAN_DSN holds."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(dsn),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


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
