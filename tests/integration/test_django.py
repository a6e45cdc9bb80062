"""A real Django project: its transactions, its commands, its test runner."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from oban_pro import sync
from tests.support.cli import environment
from tests.support.databases import Psql
from tests.support.paths import ROOT

pytest.importorskip("django")

MANAGE = [sys.executable, "-m", "examples.django_shop"]


def manage(dsn: str, *arguments: str) -> str:
    done = subprocess.run(
        [*MANAGE, *arguments],
        cwd=ROOT,
        env=environment(dsn),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    return done.stdout + done.stderr


@contextmanager
def node(dsn: str) -> Iterator[None]:
    """Run a node by the command of the project."""
    start = [*MANAGE, "oban", "start", "--queues", "default:5"]

    with subprocess.Popen(
        start, cwd=ROOT, env=environment(dsn), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


class TestProject:
    @pytest.mark.slow
    @pytest.mark.timeout(180)
    def test_passes_its_own_tests_and_ours(self, empty_dsn: str) -> None:
        cases = ["examples.django_shop", "tests.support.django_cases"]
        printed = manage(empty_dsn, "test", *cases)
        (ran,) = re.findall(r"Ran (\d+) tests", printed)
        assert int(ran) > 15

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    def test_runs_on_a_node_that_its_command_starts(self, empty_dsn: str) -> None:
        manage(empty_dsn, "migrate")
        manage(empty_dsn, "makemigrations", "--check", "--dry-run")
        place = (
            "from django.test import Client;"
            "print(Client().post('/orders', {'items': ['pen'], 'total': 5000},"
            " content_type='application/json').json())"
        )
        assert "{'order': 1}" in manage(empty_dsn, "shell", "--no-imports", "-c", place)
        handle = sync.Handle("order-1", empty_dsn)

        with node(empty_dsn):
            assert "approved" in manage(empty_dsn, "approve", "1", "--by", "ada")
            assert handle.wait(timeout=120).state == "completed"

        shipped = "SELECT shipped FROM django_shop_order"
        assert Psql(empty_dsn).rows(shipped) == [(1,)]
