"""What is passed as ``conn=``: a connection that blocks is refused, saying what to use."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from oban import Job, Oban
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, create_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from oban_pro import Workflow, errors
from tests.support.graphs import diamond, work


def connect_psycopg(dsn: str, stack: ExitStack) -> tuple[Any, str]:
    return stack.enter_context(psycopg.connect(dsn)), "psycopg.Connection"


def open_cursor(dsn: str, stack: ExitStack) -> tuple[Any, str]:
    conn, _ = connect_psycopg(dsn, stack)

    return stack.enter_context(conn.cursor()), "psycopg.Cursor"


def connect_sqlalchemy(dsn: str, stack: ExitStack) -> tuple[Any, str]:
    info = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    url = URL.create(
        "postgresql+psycopg",
        username=info.get("user"),
        password=info.get("password"),
        database=info["dbname"],
        query={key: info[key] for key in ("host", "port") if key in info},
    )
    engine = create_engine(url)
    stack.callback(engine.dispose)

    return stack.enter_context(engine.connect()), "sqlalchemy.engine.base.Connection"


def open_session(dsn: str, stack: ExitStack) -> tuple[Any, str]:
    conn, _ = connect_sqlalchemy(dsn, stack)

    return stack.enter_context(Session(conn)), "sqlalchemy.orm.session.Session"


def open_scoped_session(dsn: str, stack: ExitStack) -> tuple[Any, str]:
    conn, _ = connect_sqlalchemy(dsn, stack)
    session = scoped_session(sessionmaker(conn))
    stack.callback(session.remove)

    return session, "sqlalchemy.orm.scoping.scoped_session"


def connect_django(dsn: str, stack: ExitStack) -> tuple[Any, str]:
    pytest.importorskip("django")
    from django.db.utils import ConnectionHandler
    from django.utils.connection import ConnectionProxy

    handler = ConnectionHandler(
        {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "nowhere"}}
    )

    return ConnectionProxy(handler, "default"), "django.utils.connection.ConnectionProxy"


def connect_sqlite(dsn: str, stack: ExitStack) -> tuple[Any, str]:
    conn = sqlite3.connect(":memory:")
    stack.callback(conn.close)

    return conn, "sqlite3.Connection"


@pytest.fixture(
    params=[
        connect_psycopg,
        open_cursor,
        connect_sqlalchemy,
        open_session,
        open_scoped_session,
        connect_django,
        connect_sqlite,
    ],
    ids=lambda connect: connect.__name__,
)
def blocking(request: pytest.FixtureRequest, dsn: str) -> Iterator[tuple[Any, str]]:
    with ExitStack() as stack:
        yield request.param(dsn, stack)


class TestABlockingConnection:
    @pytest.mark.parametrize(
        "jobs", [diamond(), [work()], [work(), work()]], ids=["workflow", "job", "jobs"]
    )
    async def test_is_refused_by_name(
        self, oban: Oban, blocking: tuple[Any, str], jobs: Any
    ) -> None:
        conn, name = blocking
        with pytest.raises(errors.InvalidArgumentError) as raised:
            await oban.enqueue_many(jobs, conn=conn)
        assert str(raised.value) == (
            f"conn must be asynchronous, got a synchronous {name}; use psycopg.AsyncConnection or"
            " SQLAlchemy's AsyncSession, or oban_pro.sync"
        )
        assert await oban._query.all_jobs(["available", "suspended"]) == []

    async def test_is_refused_by_append(self, oban: Oban, blocking: tuple[Any, str]) -> None:
        await oban.enqueue_many(workflow := diamond())
        with pytest.raises(errors.InvalidArgumentError, match=f"synchronous {blocking[1]}"):
            await workflow.append(Workflow().add("more", work()), conn=blocking[0])
        assert (await workflow.status()).total == 4


class Unlikely:
    """Has an async ``execute`` beside a ``commit`` that returns nothing to wait for."""

    def __init__(self, conn: psycopg.AsyncConnection) -> None:
        self._conn = conn

    async def execute(self, *args: Any) -> Any:
        return await self._conn.execute(*args)

    def commit(self) -> None:
        raise AssertionError("nobody calls it")


async def test_whatever_executes_asynchronously_takes_plain_jobs(oban: Oban, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        await oban.enqueue(work(), conn=Unlikely(conn))
    jobs: list[Job] = await oban._query.all_jobs(["available"])
    assert len(jobs) == 1
