"""Tests of the shop, for Django's own runner."""

from django.core.management import call_command
from django.db import connection
from django.test import TestCase, TransactionTestCase

from oban_pro import sync
from oban_pro.testing import run_workflow_sync

from .models import Order

ORDER = {"items": ["pen", "ink"], "total": 20}


class PlacingTests(TestCase):
    """Tests of requests, each in a transaction that is rolled back."""

    def test_starts_a_workflow_with_the_order(self) -> None:
        answer = self.client.post("/orders", ORDER, content_type="application/json")
        assert answer.status_code == 202

        shown = self.client.get(f"/orders/{answer.json()['order']}")
        assert shown.json() == {"state": "executing", "done": 0, "of": 3}


class RunningTests(TransactionTestCase):
    """Tests of jobs, for which the rows of the test are committed."""

    def test_ships_what_was_ordered(self) -> None:
        self.client.post("/orders", ORDER, content_type="application/json")
        order = Order.objects.get()
        status = run_workflow_sync(sync.Handle(order.workflow_id, connection), connection)

        assert status.state == "completed"
        order.refresh_from_db()
        assert order.shipped == 2

    def test_waits_for_the_approval_of_a_large_one(self) -> None:
        self.client.post("/orders", ORDER | {"total": 5_000}, content_type="application/json")
        order = Order.objects.get()
        call_command("approve", order.pk, by="ada")
        handle = sync.Handle(order.workflow_id, connection)
        run_workflow_sync(handle, connection)

        assert [signal.by for signal in handle.signals("approval")] == ["ada"]
