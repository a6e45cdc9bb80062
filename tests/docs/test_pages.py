"""The pages build without a warning, and the reference shows the whole public API."""

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sphinx.util.inventory import InventoryFile

import oban_pro
from oban_pro import embedded, errors, metrics, otel, schedules, schema, testing, web
from tests.support.paths import DOCS

INTERNAL = {
    *("oban_pro.WorkflowError", "oban_pro.Context.resolve", "oban_pro.Context.for_undo"),
    *(f"oban_pro.Context.{name}" for name in dir(dict)),
    "oban_pro.LazyResults.get",
    *(f"oban_pro.schema.{name}" for name in ("ensure", "is_verified", "is_installed", "forget")),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr

    return folder


def public(module: ModuleType, names: list[str]) -> Iterator[str]:
    """List what a module offers, and the methods of its classes."""
    for name in names:
        thing = getattr(module, name)

        if inspect.ismodule(thing):
            continue

        yield f"{module.__name__}.{name}"

        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            methods = inspect.getmembers(thing, inspect.isroutine)
            yield from (
                f"{module.__name__}.{name}.{method}"
                for method, _ in methods
                if not method.startswith("_")
            )


def own_names(module: ModuleType) -> list[str]:
    """List what a module without ``__all__`` defines itself."""
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]


@pytest.mark.slow
@pytest.mark.timeout(180)
class TestPages:
    @pytest.mark.parametrize(
        "module", [oban_pro, embedded, errors, metrics, otel, schedules, schema, testing, web]
    )
    def test_show_every_public_name(self, pages: Path, module: ModuleType) -> None:
        inventory = InventoryFile.loads((pages / "objects.inv").read_bytes(), uri="")
        shown = {name for kind in inventory.data.values() for name in kind}
        names = getattr(module, "__all__", None) or own_names(module)

        assert set(public(module, names)) - INTERNAL - shown == set()
