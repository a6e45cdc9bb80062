"""Paths of files that tests read."""

from pathlib import Path

import oban_pro

ROOT = Path(__file__).parents[2]
"""The repository."""

DOCS = ROOT / "docs"

PACKAGE = Path(oban_pro.__file__).parent
"""The tested package: that of the repository, or an installed one."""
