"""The page on the command line shows what ``--help`` says, of every command."""

import re

import pytest
from click.testing import CliRunner

from oban_pro.__main__ import main
from tests.support.paths import DOCS

PAGE = DOCS / "reference" / "command-line.md"
SECTIONS = dict(
    re.findall(
        r"^## ([^\n]*)\n\n```text\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
)


def help_of(*arguments: str) -> str:
    arguments = (*arguments, "--help")
    name = "oban-workflows"

    return CliRunner().invoke(main, arguments, prog_name=name, terminal_width=80).stdout


class TestPage:
    @pytest.mark.parametrize("name", sorted(main.commands))
    def test_shows_the_help_of_a_command(self, name: str) -> None:
        assert SECTIONS[name] == help_of(name)

    def test_shows_the_help_of_the_whole(self) -> None:
        assert f"```text\n{help_of()}```" in PAGE.read_text("utf-8")

    def test_shows_no_command_that_is_gone(self) -> None:
        assert SECTIONS.keys() <= main.commands.keys()
