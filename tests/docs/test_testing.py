"""The page on tests: its tests, run by pytest as a reader would."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment
from tests.support.page import python_of
from tests.support.paths import DOCS

PAGE = DOCS / "how-to" / "test-your-workflows.md"


@pytest.mark.slow
class TestPage:
    def test_has_tests_that_pass(self, dsn: str, tmp_path: Path) -> None:
        module = tmp_path / "test_page.py"
        module.write_text(python_of(PAGE), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env=environment(dsn),
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        assert done.returncode == 0, done.stdout
        assert "6 passed" in done.stdout
