"""Every block of code on every page runs: Python here, commands in tests/packaging.

SQL, units of systemd and manifests of Kubernetes: in `tests/docs/test_operating.py`.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from oban._config import Config

from oban_pro import settings
from oban_pro.model.queue_limits import check_queue
from tests.support.cli import environment
from tests.support.page import PAGES, blocks, python_of
from tests.support.paths import ROOT

PROGRAMS = [page for page in PAGES if python_of(ROOT / page)]

CODE = {"python", "sh", "console", "toml", "sql", "ini", "yaml"}
NO_CODE = {"text", "mermaid", "{toctree}", "{eval-rst}"}
"""Output, drawings, and what Sphinx itself reads."""


def _queues(config: Path) -> Any:
    return Config.from_toml(str(config)).queues


@pytest.mark.slow
class TestBlocks:
    @pytest.mark.parametrize("page", PROGRAMS)
    def test_run_in_the_order_of_the_page(self, page: str, dsn: str, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.page", ROOT / page],
            cwd=tmp_path,
            env=environment(dsn) | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )

        assert done.returncode == 0, done.stderr[-3000:]

    @pytest.mark.parametrize("page", PAGES)
    def test_of_settings_can_be_read(
        self, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        for block in blocks(ROOT / page):
            if block.language == "toml" and block.text.startswith("[queues."):
                (tmp_path / "oban.toml").write_text(block.text, "utf-8")
                options = dict(_queues(tmp_path / "oban.toml")["api"])
                assert options.pop("limit") == 10
                assert check_queue("api", options)
            elif block.language == "toml":
                (tmp_path / "workflows.toml").write_text(block.text, "utf-8")
                settings.reset()
                assert settings.current() != settings.Settings()

    @pytest.mark.parametrize("page", PAGES)
    def test_are_all_of_a_language_that_is_run(self, page: str) -> None:
        unknown = {
            (block.line, block.language)
            for block in blocks(ROOT / page)
            if block.language not in CODE | NO_CODE
        }

        assert unknown == set()

    @pytest.mark.parametrize("page", PAGES)
    def test_every_block_of_a_page_is_found(self, page: str) -> None:
        fences = (ROOT / page).read_text("utf-8").count("```")

        assert fences == 2 * len(blocks(ROOT / page))
