"""The pages build, each is found from the index, and a new warning is an error."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


class TestPages:
    def test_build_without_a_warning(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, tmp_path],
            capture_output=True,
            text=True,
            check=False,
            timeout=55,
        )

        assert done.returncode == 0, done.stderr
        assert (tmp_path / "reference" / "api.html").read_text("utf-8").count("add_cascade") > 1
