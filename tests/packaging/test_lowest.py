"""The oldest Python and the oldest versions of dependencies in the ranges are good enough."""

import re
from pathlib import Path

import pytest

from tests.support.environments import PROJECT, SMOKE, Uv, run, run_suite
from tests.support.paths import ROOT

OLDEST_PYTHON = PROJECT["project"]["requires-python"].removeprefix(">=")

# Floors are written in full, as versions are.
EXTRAS = PROJECT["project"]["optional-dependencies"]
FLOORS = {
    re.sub(r"(\[.*\])?>=([\d.]+),.*", r"==\2", requirement)
    for requirement in [*PROJECT["project"]["dependencies"], *EXTRAS["embedded"], *EXTRAS["web"]]
}
TOOLS = [
    *("erlang-py", "httpx", "hypothesis", "playwright", "pydantic", "pytest", "pytest-asyncio"),
    *("pytest-rerunfailures", "pytest-timeout", "pytest-xdist", "sqlalchemy[asyncio]"),
]
"""What those tests import that need no framework with floors of its own."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2_000)]


class TestLowest:
    def test_versions_pass_the_tests(
        self, uv: Uv, wheel: Path, checkout: Path, empty_dsn: str, tmp_path: Path
    ) -> None:
        uv("venv", "--quiet", "--python", OLDEST_PYTHON, tmp_path / "venv")
        python = tmp_path / "venv" / "bin" / "python"
        lock = tmp_path / "lowest.txt"
        lowest = ("--resolution", "lowest-direct", "--all-extras", "--output-file", lock)
        uv("pip", "compile", "--quiet", "--python", python, *lowest, ROOT / "pyproject.toml")
        wheel_with_extras = f"{wheel}[embedded,metrics,otel,store,web]"
        install = ("pip", "install", "--quiet", "--python", python, "--constraint", lock)
        uv(*install, wheel_with_extras, *TOOLS)

        installed = uv("pip", "freeze", "--python", python).splitlines()
        assert FLOORS - set(installed) == set()
        assert run(python, SMOKE, cwd=tmp_path, dsn=empty_dsn) == "completed 14\n"

        rooms = ("unit", "integration", "migration", "web")
        run_suite(python, checkout, *(f"tests/{room}" for room in rooms))
