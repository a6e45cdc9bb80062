"""One table."""

from django.db import models


class Order(models.Model):
    """What a customer has ordered."""

    items = models.JSONField()
    total = models.IntegerField()
    shipped = models.IntegerField(default=0)

    @property
    def workflow_id(self) -> str:
        """The id of the workflow: enqueued twice, it is one."""
        return f"order-{self.pk}"
