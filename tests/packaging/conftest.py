"""Fixtures: the built distributions, and environments that hold nothing else."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import environment

ROOT = Path(__file__).parents[2]
SMOKE = Path(__file__).with_name("smoke.py")

type Uv = Callable[..., str]


def run(*command: str | Path, cwd: Path, dsn: str | None = None) -> str:
    """Run a command away from the environment of the tests, and return what it printed."""
    env = {
        name: value
        for name, value in environment(dsn).items()
        if name not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Uv:
    """Provide uv: the one that runs the tests, one on the path, or our own copy."""
    program = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    folder = tmp_path_factory.mktemp("uv")

    return lambda *arguments: run(program, "--no-config", *arguments, cwd=folder)


@pytest.fixture(scope="session")
def distributions(uv: Uv, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide the folder with the wheel and the sdist that it was built from."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", folder, ROOT)

    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    (path,) = distributions.glob("*.whl")
    return path
