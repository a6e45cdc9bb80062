"""PostgreSQL and libpq take what the page on standbys tells to set, and it does what it says."""

import re

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oban_pro.engine.dsn import check_dsn
from oban_pro.handles.waiting import FAILOVER
from tests.support.page import blocks
from tests.support.paths import DOCS
from tests.support.standby import Replicated, needs_replicas

PAGE = DOCS / "operating" / "standbys-and-failover.md"

pytestmark = pytest.mark.timeout(120)


def dsn_of_the_page() -> str:
    (dsn,) = re.findall(r'^export OBAN_DSN="(.*)"$', PAGE.read_text("utf-8"), re.MULTILINE)

    return str(dsn)


@pytest.mark.slow
@needs_replicas
def test_a_primary_with_the_settings_of_the_page_waits_for_its_standby() -> None:
    (settings,) = [block.text for block in blocks(PAGE) if "synchronous_commit" in block.text]

    with Replicated(settings) as replicated:
        both = conninfo_to_dict(replicated.dsn())
        # The standby first, which it has to pass over.
        places = {"host": both["host"], "port": "5433,5432", "user": both["user"]}
        dsn = make_conninfo(dsn_of_the_page(), **places | {"dbname": "postgres"})

        with psycopg.connect(dsn, autocommit=True) as conn:
            assert conn.info.port == 5432
            conn.execute("CREATE TABLE here ()")

        replicated.wait_for_replay()
        assert replicated.standby.execute("SELECT FROM here") == []


def test_the_dsn_of_the_page_names_two_hosts() -> None:
    check_dsn(dsn_of_the_page())
    options = conninfo_to_dict(dsn_of_the_page())
    assert options["host"] == "db1.internal,db2.internal"
    assert options["target_session_attrs"] == "read-write"


def test_the_page_says_how_long_waiting_goes_on() -> None:
    assert FAILOVER == 5 * 60
    assert "`wait` and `watch` for five minutes" in " ".join(PAGE.read_text("utf-8").split())
