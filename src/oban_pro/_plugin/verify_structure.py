"""``Query.verify_structure``: no node starts whose role lacks rights, or whose schema is old.

oban calls it when a node with queues starts. Without this check the node would take jobs that it
cannot run, and use up their attempts. A database without our tables is left to oban.
"""

from __future__ import annotations

from oban_pro import _host
from oban_pro.engine.session import session_of

_verify_structure = _host.Query.verify_structure


async def verify(query: _host.Query) -> list[str]:
    """Check our tables, then return which of oban's tables exist.

    Raises:
        MissingRightError: If the role of the node lacks rights, naming the GRANT.
        SchemaVersionError: If our tables are of a version that this package cannot work with.
    """
    # First, because oban reports tables that the role may not use as missing.
    await session_of(query).check_rights("worker")

    return await _verify_structure(query)


def hook() -> None:
    """Let oban call ours."""
    _host.Query.verify_structure = verify  # type: ignore[method-assign, assignment]


def unhook() -> None:
    """Let oban call its own again."""
    if _host.Query.verify_structure is verify:
        _host.Query.verify_structure = _verify_structure  # type: ignore[method-assign]
