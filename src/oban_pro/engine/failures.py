"""Whether a statement that failed may succeed when it is tried again."""

from __future__ import annotations

from psycopg import DataError, Error, InterfaceError, OperationalError

# SQLSTATEs, and classes of them, of lost and refused connections and of shutdowns.
_UNREACHABLE = ("08", "57P01", "57P02", "57P03", "57P04", "57P05")

# What passes, whatever the statement says: transactions that conflict or may not write just now,
# prepared statements that a pooler mixed up, no memory or disk, locks, interventions, broken disks.
_PASSING = ("25", "26", "40", "42P05", "53", "55", "57", "58")

_UNTRANSLATABLE = ("22021", "22P05")


def is_unreachable(error: BaseException) -> bool:
    """Tell whether the statement did not reach the database, or its answer was lost."""
    if isinstance(error, InterfaceError):
        return True

    # What psycopg itself raises about a connection or a pool has no SQLSTATE.
    return isinstance(error, OperationalError) and (error.sqlstate or "08").startswith(_UNREACHABLE)


def is_passing(error: BaseException) -> bool:
    """Tell whether the same statement may succeed later."""
    return isinstance(error, Error) and (error.sqlstate or "").startswith(_PASSING)


def is_about_text(error: BaseException) -> bool:
    """Tell whether the database, or the connection to it, cannot hold some character."""
    if isinstance(error, DataError):
        return error.sqlstate is None or error.sqlstate in _UNTRANSLATABLE

    return isinstance(error, UnicodeError)
