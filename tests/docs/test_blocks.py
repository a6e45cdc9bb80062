"""Every Python block of the README and of docs/ runs; what cannot says why beside it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import environment
from tests.docs.page import python_of

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "_build" not in path.parts
)
PROGRAMS = [page for page in PAGES if python_of((ROOT / page).read_text("utf-8")).strip()]


class TestBlocks:
    @pytest.mark.parametrize("page", PROGRAMS)
    def test_run_in_the_order_of_the_page(self, page: str, dsn: str, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("page.py"), ROOT / page],
            cwd=tmp_path,
            env=environment(dsn) | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )

        assert done.returncode == 0, done.stderr[-3000:]

    @pytest.mark.parametrize("page", PAGES)
    def test_are_left_out_for_a_reason_that_readers_see(self, page: str) -> None:
        fences = re.findall(r"^```(py.*)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
        unexplained = [
            fence
            for fence in fences
            if fence != "python" and not re.fullmatch(r"python no-run: \w.*", fence)
        ]

        assert unexplained == []
