"""Tests of blocking calls in Django's transactions, for Django's own test runner.

They run in the project of `examples.django_shop`.
"""

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test import TestCase, TransactionTestCase
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from examples.django_shop.models import Order
from examples.django_shop.workflows import build
from oban_pro import Workflow, errors, schema, sync
from oban_pro.engine.synchronous import dsn_of

ITEMS = {"items": ["pen", "ink"], "total": 20}


def elsewhere(workflow_id: str) -> str:
    """Return the state of a workflow as another connection sees it."""
    info = connection.connection.info
    dsn = make_conninfo("", **info.get_parameters(), password=info.password)

    return sync.Handle(workflow_id, dsn).status().state


def place() -> str:
    order = Order.objects.create(**ITEMS)
    sync.enqueue(build(order), connection)

    return order.workflow_id


class AtomicBlocks(TransactionTestCase):
    def test_commit_the_workflow_with_the_row(self) -> None:
        with transaction.atomic():
            placed = place()
            assert elsewhere(placed) == "unknown"
            assert sync.Handle(placed, connection).status().total == 3

        assert elsewhere(placed) == "executing"

    def test_roll_both_back(self) -> None:
        placed: list[str] = []

        def fail() -> None:
            with transaction.atomic():
                placed.append(place())
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

        assert elsewhere(placed[0]) == "unknown"
        assert not Order.objects.exists()

    def test_that_begin_with_a_workflow_are_rolled_back(self) -> None:
        with transaction.atomic():
            sync.enqueue(build(Order(pk=1_000, **ITEMS)), connection)
            transaction.set_rollback(True)

        assert elsewhere("order-1000") == "unknown"

    def test_that_are_nested_roll_back_alone(self) -> None:
        with transaction.atomic():
            outer = place()

            with transaction.atomic():
                inner = place()
                transaction.set_rollback(True)

        assert elsewhere(outer) == "executing"
        assert elsewhere(inner) == "unknown"

    def test_go_on_after_what_was_refused(self) -> None:
        with transaction.atomic():
            placed, order = place(), Order(pk=2_000, **ITEMS)

            with pytest.raises(errors.DuplicateIdError):
                sync.enqueue(build(order).add_workflow("sub", Workflow(id=placed)), connection)

            with pytest.raises(errors.UnknownNameError):
                sync.Handle(placed, connection).signal("approvel")

            other = place()

        assert elsewhere(placed) == elsewhere(other) == "executing"

    def test_that_are_broken_take_nothing(self) -> None:
        def fail(pk: int) -> None:
            with transaction.atomic(savepoint=False):
                Order.objects.create(pk=pk, **ITEMS)

        with transaction.atomic():
            order = Order.objects.create(**ITEMS)

            with pytest.raises(IntegrityError):
                fail(order.pk)

            with pytest.raises(TransactionManagementError):
                sync.enqueue(build(order), connection)

    def test_refuse_to_wait(self) -> None:
        with transaction.atomic(), pytest.raises(errors.InTransactionError):
            sync.Handle("any", connection).wait()

        with transaction.atomic():
            placed = place()

            with pytest.raises(errors.InTransactionError):
                sync.Handle(placed, connection).wait(timeout=1)

    def test_wake_nodes_at_the_commit(self) -> None:
        connection.ensure_connection()

        with Connection.connect(dsn_of(connection), autocommit=True) as ear:
            ear.execute('LISTEN "public.oban_insert"')

            with transaction.atomic():
                place()
                assert not [*ear.notifies(timeout=0.2, stop_after=1)]

            assert [*ear.notifies(timeout=5, stop_after=1)]

    def test_are_followed_by_what_was_to_happen_on_commit(self) -> None:
        with transaction.atomic():
            order = Order.objects.create(**ITEMS)
            transaction.on_commit(lambda: sync.enqueue(build(order), connection))
            assert sync.Handle(order.workflow_id, connection).status().state == "unknown"

        assert elsewhere(order.workflow_id) == "executing"


class OutsideOfBlocks(TransactionTestCase):
    def test_a_workflow_is_committed_at_once(self) -> None:
        assert elsewhere(place()) == "executing"
        assert not connection.in_atomic_block
        assert connection.get_autocommit()

    def test_a_handle_steers_and_waits(self) -> None:
        handle = sync.Handle(place(), connection)
        assert handle.cancel_jobs() == 3
        assert handle.wait(timeout=5).state == "cancelled"

    def test_a_connection_that_django_has_closed_is_opened(self) -> None:
        placed = place()
        handle = sync.Handle(placed, connection)
        connection.close()
        assert handle.status().total == 3

    def test_another_schema_is_used(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(schema.install_sql("jobs"))

        try:
            sync.enqueue(build(Order(pk=1, **ITEMS)), connection, prefix="jobs")
            assert sync.Handle("order-1", connection, prefix="jobs").status().total == 3
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DROP SCHEMA jobs CASCADE")

    def test_a_coroutine_is_refused_by_django(self) -> None:
        async def look() -> None:
            sync.Handle("any", connection).status()

        with pytest.raises(SynchronousOnlyOperation):
            async_to_sync(look)()

    def test_a_command_says_what_is_wrong(self) -> None:
        placed = place()

        with pytest.raises(CommandError, match="needs no approval"):
            call_command("approve", placed.removeprefix("order-"), by="ada")


class TestsOfDjango(TestCase):
    def test_see_what_they_enqueue(self) -> None:
        placed = place()
        handle = sync.Handle(placed, connection)
        assert handle.status().total == 3
        assert handle.cancel_jobs() == 3
        assert handle.status().state == "cancelled"
        assert elsewhere(placed) == "unknown"

    def test_run_what_is_to_happen_on_commit(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            order = Order.objects.create(**ITEMS)
            transaction.on_commit(lambda: sync.enqueue(build(order), connection))

        assert sync.Handle(order.workflow_id, connection).status().total == 3
