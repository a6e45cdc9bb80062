"""Connection strings that people type."""

from __future__ import annotations

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from oban_pro.errors import InvalidDsnError

HINT = (
    "in a URI the characters @ / : ? # % of a password are written %40 %2F %3A %3F %23 %25"
    " (the string is not shown, as it may hold a password)"
)


def check_dsn(dsn: str) -> None:
    """Refuse a connection string that libpq cannot read, or reads otherwise than it was meant.

    libpq repeats what it cannot read, and tries to reach a host whose name is a part of the
    password: its messages are not for logs and terminals.

    Raises:
        InvalidDsnError: Its message repeats no part of the string.
    """
    try:
        options = conninfo_to_dict(dsn)
    except (ProgrammingError, ValueError):
        # The first error would be part of the traceback.
        raise InvalidDsnError(f"the connection string cannot be read; {HINT}") from None

    host, port = (str(options.get(name, "")) for name in ("host", "port"))
    is_number = all(one.isdigit() or not one for one in port.split(","))

    # An abstract socket is the one host that has such a character, and begins with it.
    if _has_stray_at(dsn) or "@" in host[1:] or not is_number:
        raise InvalidDsnError(f"the connection string must lead to a host and a port; {HINT}")


def _has_stray_at(dsn: str) -> bool:
    """Tell whether an ``@`` stands behind the one that ends a password, before the options."""
    scheme, _, rest = dsn.partition("://")

    if scheme not in ("postgresql", "postgres"):
        return False

    credentials, _, location = rest.partition("@")

    # A slash ends the credentials as well; then there are none.
    return "@" in (rest if "/" in credentials else location).partition("?")[0]
