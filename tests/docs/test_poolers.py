"""PgBouncer takes what the page on poolers tells to write into its configuration."""

from configparser import ConfigParser

import pytest
from oban import Oban
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.engine.session import MAX_BESIDE_POOLS
from tests.support.graphs import work
from tests.support.page import blocks
from tests.support.paths import DOCS
from tests.support.pgbouncer import PgBouncer, needs_pgbouncer

PAGE = DOCS / "operating" / "poolers.md"

ELSEWHERE = ("listen_addr", "listen_port", "auth_type", "auth_file")
"""What depends on the machine."""


def settings() -> dict[str, str]:
    (text,) = [block.text for block in blocks(PAGE) if "[pgbouncer]" in block.text]
    configuration = ConfigParser()
    configuration.read_string(text)

    return {
        name: value for name, value in configuration["pgbouncer"].items() if name not in ELSEWHERE
    }


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_a_pooler_takes_the_configuration_of_the_page(dsn: str, mode: str) -> None:
    assert settings()["pool_mode"] == "transaction"

    with PgBouncer(dsn, settings=settings() | {"pool_mode": mode}) as pooler:
        async with AsyncConnectionPool(pooler.dsn, min_size=1, open=False) as pool:
            oban = Oban(pool=pool)
            workflow = Workflow().add("a", work())
            await oban.enqueue_many(workflow)
            assert (await workflow.status()).total == 1

        assert "WARNING" not in pooler.log()


@needs_pgbouncer
async def test_a_pooler_refuses_options_unless_told_to_ignore_them(dsn: str) -> None:
    async def connect(settings: dict[str, str]) -> str:
        with PgBouncer(dsn, settings=settings) as pooler:
            options = f"{pooler.dsn} options='-c search_path=nowhere'"

            try:
                async with AsyncConnectionPool(options, min_size=1, open=False, timeout=3) as pool:
                    workflow = Workflow().add("a", work())
                    await Oban(pool=pool).enqueue_many(workflow)
            except OperationalError:
                return pooler.log()

            return ""

    assert "unsupported startup parameter: options" in await connect({})
    assert await connect({"ignore_startup_parameters": "options"}) == ""


def test_the_page_counts_the_connections_beside_pools() -> None:
    assert f"up to {MAX_BESIDE_POOLS} more" in PAGE.read_text("utf-8")
