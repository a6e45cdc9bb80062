"""Other versions of this package, each in a folder from which processes import it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.cli import environment
from tests.support.paths import PACKAGE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Release:
    """A version of the package in a folder."""

    folder: Path

    @property
    def path(self) -> str:
        """The PYTHONPATH that makes a process import that version."""
        return f"{self.folder}{os.pathsep}{ROOT}"

    def start(self, dsn: str, *arguments: str) -> subprocess.Popen[str]:
        """Start Python on that version."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment(dsn) | {"PYTHONPATH": self.path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def install(self, dsn: str, *options: str) -> None:
        """Run ``oban-workflows install`` of that version, which must succeed."""
        assert self.try_install(dsn, *options) == (0, "")

    def try_install(self, dsn: str, *options: str) -> tuple[int, str]:
        """Run ``oban-workflows install`` of that version; return its exit code and error."""
        process = self.start(dsn, "-m", "oban_pro", "install", *options)
        _, error = process.communicate(timeout=50)

        return process.returncode, error

    @contextmanager
    def node(self, dsn: str, name: str) -> Iterator[None]:
        """Run a node that enqueues workflows for itself, and check that it ends well."""
        process = self.start(dsn, "-m", "tests.support.busy_node", dsn, name)
        assert process.stdout is not None

        try:
            assert process.stdout.readline().startswith(str(self.folder))
            yield
            process.send_signal(signal.SIGTERM)
            _, error = process.communicate(timeout=40)
            assert (process.returncode, error) == (0, "")
        finally:
            process.kill()
            process.communicate()


def make_release(folder: Path, version: str) -> Release:
    """Copy the package, with another version number and a changed function."""
    shutil.copytree(PACKAGE, folder / "oban_pro")
    _replace(
        folder / "oban_pro" / "__init__.py", r'__version__ = ".*"', f'__version__ = "{version}"'
    )
    _replace(
        folder / "oban_pro/sql/functions/propagate/release.sql",
        r"BEGIN\n",
        r"BEGIN\n  -- another release\n",
    )

    return Release(folder)


def checked_out(folder: Path, commit: str) -> Release | None:
    """Take the package from the history of git, or return None if the commit is missing."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit, "src/oban_pro"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )

    if archive.returncode != 0:
        return None

    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)

    return Release(folder / "src")


def _replace(path: Path, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, text, path.read_text("utf-8"), count=1)
    assert count == 1
    path.write_text(changed, "utf-8")
