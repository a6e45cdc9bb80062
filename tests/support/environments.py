"""Environments that contain only what a test installs."""

import os
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import NamedTuple

from tests.support.cli import environment
from tests.support.paths import ROOT

SMOKE = Path(__file__).with_name("smoke.py")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def run(*command: str | Path, cwd: Path, dsn: str | None = None, timeout: int = 240) -> str:
    """Run a command without the environment of the tests, and return its output."""
    env = {
        name: value
        for name, value in environment(dsn).items()
        if name not in {"PYTHONPATH", "VIRTUAL_ENV"} and not name.startswith("PYTEST_")
    }
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    return done.stdout


class Uv(NamedTuple):
    """The command uv: the one that runs the tests, the one on the path, or our own copy."""

    program: str
    folder: Path

    def __call__(self, *arguments: str | Path) -> str:
        return run(self.program, "--no-config", *arguments, cwd=self.folder)


def copy_repository(folder: Path) -> Path:
    """Copy all files that git tracks, in their present state."""
    for name in run("git", "ls-files", cwd=ROOT).splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)

    return folder


def run_suite(python: Path, checkout: Path, *arguments: str) -> str:
    """Run tests with the installed package. The checkout's own modules cannot be imported."""
    where = run(python, "-c", "import oban_pro; print(oban_pro.__file__)", cwd=checkout)
    assert Path(where).is_relative_to(python.parents[1])
    told = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    options = ("-m", "not slow", "-n", "auto", "--dist", "loadscope", "-p", "no:cacheprovider")

    return run(
        python, "-m", "pytest", "-q", *options, *told, *arguments, cwd=checkout, timeout=1_800
    )
