"""One table."""

from django.db import models


class Order(models.Model):
    """An order of a customer."""

    items = models.JSONField()
    total = models.IntegerField()
    shipped = models.IntegerField(default=0)

    @property
    def workflow_id(self) -> str:
        """The id of the order's workflow, so that enqueueing twice inserts one workflow."""
        return f"order-{self.pk}"
