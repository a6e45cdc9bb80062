"""Fixtures: the built distributions, and environments that hold nothing else."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli import environment

ROOT = Path(__file__).parents[2]
SMOKE = Path(__file__).with_name("smoke.py")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def run(*command: str | Path, cwd: Path, dsn: str | None = None, timeout: int = 240) -> str:
    """Run a command away from the environment of the tests, and return what it printed."""
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
    """The uv that runs the tests, one on the path, or our own copy; called as a command."""

    program: str
    folder: Path

    def __call__(self, *arguments: str | Path) -> str:
        return run(self.program, "--no-config", *arguments, cwd=self.folder)


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Uv:
    program = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")

    return Uv(program, tmp_path_factory.mktemp("uv"))


@pytest.fixture(scope="session")
def distributions(uv: Uv, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide the folder of the sdist and the wheel made from it: DIST, else built now."""
    if built := os.environ.get("DIST"):
        return ROOT / built

    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--python", sys.executable, "--out-dir", folder, ROOT)

    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    (path,) = distributions.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def sdist(distributions: Path) -> Path:
    (path,) = distributions.glob("*.tar.gz")
    return path


def copy_repository(folder: Path) -> Path:
    """Copy all that is versioned, as it is now."""
    for name in run("git", "ls-files", cwd=ROOT).splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)

    return folder


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a copy of all that is versioned but the package itself."""
    folder = copy_repository(tmp_path_factory.mktemp("checkout"))
    shutil.rmtree(folder / "src")
    mermaid = Path("tests", "mermaid", "node_modules")
    (folder / mermaid).symlink_to(ROOT / mermaid)

    return folder


@pytest.fixture
def python(uv: Uv, tmp_path: Path) -> Path:
    """Provide the Python of an empty environment."""
    uv("venv", "--quiet", "--python", sys.executable, tmp_path / "venv")

    return tmp_path / "venv" / "bin" / "python"


def run_suite(python: Path, checkout: Path, *arguments: str) -> str:
    """Run tests against what is installed, which nothing in the checkout can stand in for."""
    where = run(python, "-c", "import oban_pro; print(oban_pro.__file__)", cwd=checkout)
    assert Path(where).is_relative_to(python.parents[1])
    options = ("-m", "not slow", "-n", "auto", "--dist", "loadscope", "-p", "no:cacheprovider")

    return run(python, "-m", "pytest", "-q", *options, *arguments, cwd=checkout, timeout=900)
