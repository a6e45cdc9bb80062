"""Run commands of oban with Django set up: ``manage.py oban start --queues default:10``."""

from typing import Any

from django.core.management.base import BaseCommand
from oban.cli import main


class Command(BaseCommand):
    """Passes all arguments on to oban's own command line."""

    def run_from_argv(self, argv: list[str]) -> Any:
        """Run a command of oban."""
        main(argv[2:], prog_name="manage.py oban")
