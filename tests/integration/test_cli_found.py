"""Commands that do one thing to all workflows that filters find."""

from __future__ import annotations

import asyncio
import json

import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from tests.support.cli import invoke
from tests.support.databases import Psql
from tests.support.graphs import work


@pytest.fixture
def site(dsn: str) -> str:
    async def store() -> None:
        async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
            client = Oban(pool=pool)

            tenants: list[str | int] = ["acme", "acme", "other", 5]

            for number, tenant in enumerate(tenants):
                workflow = Workflow(id=f"w{number}", name="import", attributes={"tenant": tenant})
                await client.enqueue_many(workflow.add("a", work()))

    asyncio.run(store())

    return dsn


def states(dsn: str) -> dict[str, str]:
    return dict(Psql(dsn).rows("SELECT id, state FROM oban_workflow_groups ORDER BY id"))


class TestList:
    def test_filters_by_attributes_and_time(self, site: str) -> None:
        def listed(*options: str) -> list[str]:
            return [
                one["id"] for one in json.loads(invoke(site, "list", "--json", *options).stdout)
            ]

        assert listed("--where", "tenant=acme") == ["w1", "w0"]
        assert listed("--where", "tenant=5") == ["w3"]
        assert listed("--where", 'tenant="5"') == []
        assert listed("--since", "1d", "--where", "tenant=other") == ["w2"]
        assert listed("--until", "1d") == []
        assert (
            "must be like tenant=acme, got 'acme'" in invoke(site, "list", "--where", "acme").stderr
        )
        assert "must be an age like 30m" in invoke(site, "list", "--since", "soon").stderr


class TestAll:
    def test_is_counted_asked_for_and_done(self, site: str) -> None:
        acme = ("--all", "--where", "tenant=acme")
        asked = invoke(site, "cancel", *acme)
        assert asked.exit_code == 1
        assert "2 workflows will be cancelled. Go on?" in asked.stdout
        assert set(states(site).values()) == {"executing"}

        done = invoke(site, "cancel", *acme, "--yes")
        assert done.stdout.splitlines() == [
            "Cancelled w1.",
            "Cancelled w0.",
            "2 of 2 workflows cancelled.",
        ]
        assert invoke(site, "cancel", *acme, "--yes").stdout == "No such workflows.\n"
        assert "2 of 2 workflows retried." in invoke(site, "retry", *acme, "--yes").stdout
        invoke(site, "cancel", *acme, "--yes")
        assert "2 of 2 workflows deleted." in invoke(site, "delete", *acme, "--yes").stdout
        assert [*states(site)] == ["w2", "w3"]

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ((), "Give the ID of a workflow, or --all"),
            (("w0", "--all", "--name", "import"), "Give the ID of a workflow, or --all"),
            (("--all",), "--all needs a filter"),
            (("w0", "--name", "import"), "Filters need --all"),
        ],
    )
    def test_is_refused_where_it_is_not_clear(
        self, site: str, arguments: tuple[str, ...], text: str
    ) -> None:
        done = invoke(site, "cancel", *arguments)

        assert done.exit_code == 2
        assert text in done.stderr


class TestDelete:
    def test_removes_one_that_has_settled(self, site: str) -> None:
        open_one = invoke(site, "delete", "w0")
        assert open_one.stderr == "Error: workflow 'w0' is open; cancel it first\n"

        invoke(site, "cancel", "w0")
        assert invoke(site, "delete", "w0").stdout == "Deleted workflow w0.\n"
        assert "w0" not in states(site)
