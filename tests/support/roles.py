"""Roles of a database, and nodes whose connections use a role while they are recorded."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from oban_pro import schema
from tests.support.operations import Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import AsyncConnection

# The tables into which an enqueuer inserts rows.
INSERTED = (
    *("oban_workflow_groups", "oban_workflow_members", "oban_workflow_edges"),
    *("oban_workflow_waits", "oban_workflow_timers", "oban_workflow_joins"),
    *("oban_workflow_finals", "oban_workflow_ends", "oban_workflow_undos"),
)
KEPT = (
    *("oban_workflow_unended", "oban_workflow_producers", "oban_workflow_hearing"),
    *("oban_workflow_signals", "oban_workflow_awaits"),
    *("oban_workflow_pauses", "oban_workflow_schedules"),
    *("oban_workflow_queues", "oban_workflow_windows", "oban_workflow_keys"),
)
OURS = (*INSERTED, *KEPT)

OBAN_TABLES = ("oban_jobs", "oban_leaders", "oban_producers")

ALL = "SELECT, INSERT, UPDATE, DELETE"


def grants_to(kind: str, role: str) -> str:
    """Return the SQL that grants a role the rights of one of the three kinds."""
    options: dict[str, Any] = {f"{kind}s": [role]}

    return schema.grants_sql(**options)


def rights(roles: Roles, role: str, table: str) -> str:
    """List the rights of a role on a table, in the words of a GRANT."""
    ((listed,),) = roles.execute(
        "SELECT string_agg(p, ', ' ORDER BY n)"
        f" FROM unnest(string_to_array('{ALL}', ', ')) WITH ORDINALITY AS u(p, n)"
        f" WHERE has_table_privilege('{role}', '{table}', p)"
    )

    return str(listed or "")


class Roles:
    """Makes roles for one database, and drops them."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._made: list[str] = []

    def execute(self, *statements: str, role: str | None = None) -> list[Any]:
        """Run statements, each in its own transaction, and return the rows of the last one."""
        rows: list[Any] = []

        with psycopg.connect(self.as_role(role) if role else self.dsn, autocommit=True) as conn:
            for statement in statements:
                cursor = conn.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description is not None else []

        return rows

    def make(self, *grants: str, options: str = "") -> str:
        """Create a role. ``{}`` in a grant stands for its name, which needs quotes."""
        name = f"oban-test-{secrets.token_hex(4)}"
        self._made.append(name)
        self.execute(f'CREATE ROLE "{name}" {options}')
        self.execute(*(grant.replace("{}", f'"{name}"') for grant in grants))

        return name

    def make_plain(self) -> str:
        """Create a role with only the rights that plain oban needs."""
        return self.make(*(f"GRANT {ALL} ON {table} TO {{}}" for table in OBAN_TABLES))

    def as_role(self, role: str, **settings: str) -> str:
        """Return a DSN whose connections have a role and settings."""
        options = {"role": role, **settings}

        return make_conninfo(
            self.dsn, options=" ".join(f"-c {name}={value}" for name, value in options.items())
        )

    def pool(self, role: str, tenant: str = "", **options: Any) -> AsyncConnectionPool:
        """Make a pool whose connections have a role."""
        dsn = self.as_role(role, **{"app.tenant": tenant})

        return AsyncConnectionPool(dsn, min_size=1, max_size=4, open=False, **options)

    def drop(self) -> None:
        for name in self._made:
            self.execute(f'DROP OWNED BY "{name}" CASCADE', f'DROP ROLE "{name}"')


@dataclass
class Actor:
    """The role of a pool's connections: the owner, or in a block another role."""

    role: str
    is_acting: bool = False

    @contextmanager
    def acting(self) -> Iterator[None]:
        self.is_acting = True

        try:
            yield
        finally:
            self.is_acting = False

    async def become(self, conn: AsyncConnection) -> None:
        """Set the role of a connection when it is taken from a pool."""
        await conn.execute(f'SET ROLE "{self.role}"' if self.is_acting else "RESET ROLE")
        await conn.commit()


@dataclass
class ActingNode(Node):
    """A node that is recorded with a role. The owner arranges the data before."""

    recorder: Any = None
    actor: Actor = field(default_factory=lambda: Actor(""))

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        with self.actor.acting():
            yield
