"""The page on the command line shows what ``--help`` says, of every command."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from oban_pro.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
SECTIONS = dict(
    re.findall(
        r"^## ([^\n]*)\n\n```text\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
)
ELSEWHERE = {"web"}
"""Commands with a page of their own."""


class TestPage:
    @pytest.mark.parametrize("name", sorted(main.commands.keys() - ELSEWHERE))
    def test_shows_the_help_of_a_command(self, name: str) -> None:
        arguments = [name, "--help"]
        shown = CliRunner().invoke(main, arguments, prog_name="oban-workflows", terminal_width=80)
        assert SECTIONS[name] == shown.stdout

    def test_shows_no_command_that_is_gone(self) -> None:
        assert SECTIONS.keys() <= main.commands.keys()
