"""Fixtures: the built distributions, and environments that hold nothing else."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.environments import Uv, copy_repository
from tests.support.paths import ROOT


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
