"""The oldest versions of dependencies that the ranges allow are good enough."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, SMOKE, Uv, run

# Floors are written in full, as versions are.
DIRECT = {
    re.sub(r"(\[.*\])?>=([\d.]+),.*", r"==\2", requirement)
    for requirement in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "dependencies"
    ]
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class TestLowest:
    def test_versions_run_a_workflow(
        self, uv: Uv, wheel: Path, empty_dsn: str, tmp_path: Path
    ) -> None:
        python = tmp_path / "venv" / "bin" / "python"
        install = ("pip", "install", "--quiet", "--python", python)
        uv("venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
        uv(*install, "--resolution", "lowest-direct", "-r", ROOT / "pyproject.toml")
        uv(*install, "--no-deps", wheel)

        assert run(python, SMOKE, cwd=tmp_path, dsn=empty_dsn) == "completed 14\n"

        installed = uv("pip", "freeze", "--python", python).splitlines()
        assert DIRECT - set(installed) == set()
