"""The notebook among the pages is one that ran, and runs."""

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.paths import DOCS

PATHS = sorted(DOCS.rglob("*.ipynb"))


def read(path: Any) -> Any:
    return nbformat.read(path, as_version=4)


def codes(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


class TestNotebooks:
    def test_at_least_one_notebook_is_found(self) -> None:
        assert PATHS

    @pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
    def test_are_kept_as_they_ran(self, path: Any) -> None:
        cells = codes(read(path))

        assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
        outputs = [output for cell in cells for output in cell.outputs]
        assert "error" not in {output.output_type for output in outputs}
        assert any("<progress" in output.get("data", {}).get("text/html", "") for output in outputs)

    @pytest.mark.slow
    @pytest.mark.timeout(200)
    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
    def test_every_notebook_runs_and_prints_what_it_shows(
        self, path: Any, dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OBAN_DSN", dsn)
        notebook = read(path)
        NotebookClient(notebook, timeout=90).execute()
        kept, ran = codes(read(path)), codes(notebook)

        # Ids are drawn anew.
        for before, after in zip(kept[3:], ran[3:], strict=True):
            texts = [
                [output.get("data", {}).get("text/plain") for output in cell.outputs]
                for cell in (before, after)
            ]
            assert texts[0] == texts[1] or "Graph" in str(texts)
