"""Approve a large order: ``manage.py approve 17 --by ada``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from oban_pro import sync
from oban_pro.errors import UnknownNameError, UnknownWorkflowError


class Command(BaseCommand):
    """Signals the workflow of an order."""

    help = "Approve a large order."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments: the order, and the person who approves it."""
        parser.add_argument("order", type=int)
        parser.add_argument("--by", required=True)

    def handle(self, *args: Any, order: int, by: str, **options: Any) -> None:
        """Send the signal."""
        try:
            handle = sync.Handle(f"order-{order}", connection)
            taken = handle.signal("approval", {"choice": "approve"}, by=by)
        except (UnknownWorkflowError, UnknownNameError) as error:
            raise CommandError(f"order {order} needs no approval: {error}") from error

        self.stdout.write("approved" if taken else "was decided before")
