"""What type checkers say about the code that people copy from our pages: nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.page import blocks
from tests.support.paths import DOCS, ROOT

pytestmark = pytest.mark.slow

PYRIGHT = Path(__file__).parent / "node_modules" / "pyright" / "index.js"

STRICT = ["tutorial/first-workflow.md"]
LOOSE = ["tutorial/etl.md", "tutorial/growing.md", "how-to/type-check.md", "how-to/wire-calls.md"]
"""Pages whose functions have no types; or whose workers have what oban leaves untyped."""

needs_pyright = pytest.mark.skipif(
    shutil.which("node") is None or not PYRIGHT.exists(),
    reason="pyright must be installed: npm install --prefix tests/types --no-package-lock",
)


@pytest.fixture(params=[*STRICT, *LOOSE])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bool]:
    """Provide the code of a page as a module, and whether it is checked strictly.

    Blocks that await outside of a function are left out, as no module may hold them.
    """
    code = [
        block.text
        for block in blocks(DOCS / request.param)
        if block.language == "python" and is_module(block.text)
    ]
    assert code
    module = tmp_path / "page.py"
    module.write_text("\n".join(code), encoding="utf-8")

    return module, request.param in STRICT


def is_module(code: str) -> bool:
    try:
        compile(code, "block", "exec", dont_inherit=True)
    except SyntaxError:
        return False

    return True


def check(folder: Path, *command: str | Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_mypy_accepts_a_page(page: tuple[Path, bool], cache: Path) -> None:
    module, is_strict = page
    options = ["--strict"] if is_strict else ["--check-untyped-defs"]
    check(module.parent, sys.executable, "-m", "mypy", "--cache-dir", cache, *options, module)


@needs_pyright
def test_pyright_accepts_a_page(page: tuple[Path, bool]) -> None:
    module, is_strict = page
    settings = {
        "typeCheckingMode": "strict" if is_strict else "standard",
        "extraPaths": [str(ROOT / "src")],
        "include": [module.name],
    }
    (module.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    check(module.parent, "node", PYRIGHT, "--pythonpath", sys.executable)
