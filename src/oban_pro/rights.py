"""The rights that a role needs on the tables: how to grant them, and which are missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from psycopg import sql as compose

from . import _host, sql
from .errors import MissingRightError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import AsyncConnection
    from psycopg.errors import InsufficientPrivilege

type Kind = Literal["worker", "enqueuer", "reader"]
"""What a role does: run jobs and steer workflows, only enqueue, or only read."""

KINDS: tuple[Kind, ...] = ("worker", "enqueuer", "reader")

SHOWN = 3
"""How many missing GRANTs an error lists."""

_GRANT = re.compile(r"^GRANT ([A-Z, ]+) ON (\w+) (\S+) TO", re.MULTILINE)


def of(kind: Kind, prefix: str) -> str:
    """Return the statements that grant a role what it needs, one for each object.

    The role is called ``oban_role`` in them.
    """
    statements = sql.statement(f"grants/{kind}", prefix)
    lines = (line for line in statements.splitlines() if not line.startswith("--"))

    return "\n".join(lines).replace("SCHEMA public", f"SCHEMA {prefix}")


def to(kind: Kind, prefix: str, roles: Iterable[str]) -> str:
    """Return the statements that grant roles what they need."""
    names = (compose.Identifier(role).as_string() for role in roles)

    return "\n".join(of(kind, prefix).replace(" TO oban_role", f" TO {name}") for name in names)


async def check(conn: AsyncConnection[Any], prefix: str, kind: Kind) -> None:
    """Raise if the role of a connection lacks rights.

    Raises:
        MissingRightError: Naming the GRANT.
    """
    if error := await explain(conn, prefix, kind):
        raise error


async def explain(
    conn: AsyncConnection[Any],
    prefix: str,
    kind: Kind,
    cause: InsufficientPrivilege | None = None,
) -> MissingRightError | None:
    """Return an error that names the GRANTs which the role of a connection lacks; None if none.

    Args:
        conn: A connection, with no failed transaction on it.
        prefix: The schema of the tables.
        kind: What the role is needed for.
        cause: What PostgreSQL said. The objects that it names come first.
    """
    needed = [
        (what, name.removeprefix(f"{prefix}."), privilege)
        for privileges, what, name in _GRANT.findall(of(kind, prefix))
        for privilege in privileges.split(", ")
    ]
    whats, names, privileges = zip(*needed, strict=True)
    params = {
        "schema": prefix,
        "kinds": [*whats],
        "names": [*names],
        "privileges": [*privileges],
    }
    missing: dict[tuple[str, str], list[str]] = {}
    rows = await _fetch(conn, "missing_rights", prefix, params)

    if not rows:
        return None

    role = rows[0][0]

    for _, what, name, privilege in rows:
        missing.setdefault((what, name), []).append(privilege)

    told = "" if cause is None else str(cause)
    objects = sorted(missing, key=lambda one: not re.search(rf"\b{one[1]}\b", told))
    grants = [
        f"GRANT {', '.join(missing[one])} ON {one[0]} {_path(one, prefix)} TO {role}"
        for one in objects
    ]
    more = f" and {len(grants) - SHOWN} more" if len(grants) > SHOWN else ""
    where = "" if prefix == "public" else f" --prefix {prefix}"

    return MissingRightError(
        f"role {role} lacks rights in schema {prefix!r}; as the owner of oban_jobs run:"
        f" {'; '.join(grants[:SHOWN])}{more}; or, for all of it:"
        f" oban-workflows install{where} --grant-{kind} {role}"
    )


async def explain_install(
    conn: AsyncConnection[Any], prefix: str, cause: InsufficientPrivilege
) -> MissingRightError:
    """Return an error that says why the role of a connection cannot install or uninstall.

    Args:
        conn: A connection, with no failed transaction on it.
        prefix: The schema of the tables.
        cause: What PostgreSQL said.
    """
    ((role, owner, grant),) = await _fetch(conn, "install_rights", prefix, {"schema": prefix})
    told = cause.diag.message_primary

    if owner is not None:
        remedy = f"the tables in schema {prefix!r} are {owner}'s, so do it as that role"
    else:
        remedy = f"run: {grant}" if grant else "do it as the owner of oban_jobs"

    return MissingRightError(f"role {role} may not do that: {told}; {remedy}")


async def _fetch(
    conn: AsyncConnection[Any], name: str, prefix: str, params: dict[str, Any]
) -> list[tuple[Any, ...]]:
    statement = sql.statement(f"queries/{name}", prefix)

    return await (await _host.cursor_on(conn).execute(statement.encode(), params)).fetchall()


def _path(thing: tuple[str, str], prefix: str) -> str:
    kind, name = thing

    return name if kind == "SCHEMA" else f"{prefix}.{name}"
