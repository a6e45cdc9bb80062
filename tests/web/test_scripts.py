"""The functions of the page that need no page, by node's own test runner."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import PACKAGE

SCRIPTS = Path(__file__).parent / "scripts"
OLDEST = 20


def version_of_node() -> int:
    """Return the major version of node; 0 where there is none."""
    if (node := shutil.which("node")) is None:
        return 0

    printed = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)", printed.stdout)

    return int(found[1]) if found else 0


pytestmark = pytest.mark.skipif(
    version_of_node() < OLDEST, reason=f"needs node {OLDEST} or newer, which comes with npm"
)


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """Provide the scripts as modules, which a browser is told by the page that loads them."""
    shutil.copytree(PACKAGE / "web" / "static", tmp_path / "static")
    (tmp_path / "static" / "package.json").write_text(json.dumps({"type": "module"}))

    return tmp_path / "static"


@pytest.mark.parametrize("name", sorted(path.name for path in SCRIPTS.glob("*.test.mjs")))
def test_functions_of_a_script_do_what_they_should(name: str, static: Path) -> None:
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", SCRIPTS / name],
        env={**os.environ, "STATIC": static.as_uri(), "TZ": "America/New_York"},
        capture_output=True,
        text=True,
        check=False,
    )
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)

    assert done.returncode == 0, done.stdout + done.stderr
    assert passed
    assert int(passed[1]) > 0
