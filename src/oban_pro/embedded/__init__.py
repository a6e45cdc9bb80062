"""PostgreSQL without an installation, for development, the demo and tests.

Needs PostgreSQL's programs only: those of the `embedded` extra, or any on the machine. The server
listens on a private Unix socket, lives as long as somebody uses it and leaves nothing behind.
Where `OBAN_DSN` names a server, `server_dsn` takes that one instead.

Every process of the user that the server runs as is its superuser, without a password. That user is
`nobody` where root starts it: run it as an ordinary user where other programs run as `nobody`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import EmbeddedError
from .server import Postgres

__all__ = ["EmbeddedError", "Postgres", "server_dsn"]


@contextmanager
def server_dsn(data: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """Yield the DSN of the environment's `OBAN_DSN`, else of an embedded server.

    Args:
        data: Folder that keeps the embedded server's data; None for a temporary server.

    Yields:
        A DSN, good for as long as the block runs.

    Raises:
        EmbeddedError: There is no `OBAN_DSN` and an embedded server cannot be run.

    Example:
        >>> with server_dsn() as dsn, psycopg.connect(dsn) as conn:
        ...     conn.execute("SELECT 1")
    """
    if given := os.environ.get("OBAN_DSN"):
        yield given
        return
    with Postgres(data) as postgres:
        yield postgres.dsn()
