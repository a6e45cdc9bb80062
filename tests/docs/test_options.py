"""The page of all options names those that there are."""

import re
from typing import Any

import pytest

from oban_pro import Workflow
from oban_pro.errors import InvalidArgumentError
from tests.support.paths import DOCS

PAGE = (DOCS / "how-to" / "pass-results.md").read_text("utf-8")
TABLE = PAGE.partition("## All options")[2].partition("\n## ")[0]
CELLS = re.findall(r"^\| (`.+?) \|", TABLE, re.MULTILINE)
ROWS = re.findall(r"`(\w+)`", " ".join(CELLS))


def test_the_table_names_each_option_that_the_error_for_an_unknown_one_lists() -> None:
    unknown: Any = {"unheard_of": 1}

    with pytest.raises(InvalidArgumentError) as refusal:
        Workflow().options(**unknown)

    listed = str(refusal.value).partition("known: ")[2].split(", ")

    assert sorted(ROWS) == sorted([*listed, "lazy"])
