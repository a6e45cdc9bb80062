"""The user that the server runs as, and what that user can reach."""

import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import EmbeddedError

# A Unix socket's path holds some 100 bytes; the folder's and the socket's name take 40 of them.
_LONGEST_BASE = 60


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user, by ids."""

    uid: int
    gid: int


def server_account(pgdata: Path | None = None) -> Account | None:
    """Choose who runs the server: PostgreSQL refuses to run as root.

    Args:
        pgdata: The data directory, if there is one; it may not exist yet.

    Returns:
        None for this process's own user. For root, the owner of the data, else `nobody`.

    Raises:
        EmbeddedError: This process is root and there is no user `nobody`.
    """
    if os.geteuid() != 0:
        return None
    if pgdata and pgdata.exists() and (owner := pgdata.stat()).st_uid:
        return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        message = "root must have a user 'nobody' to run PostgreSQL as, got none; "
        raise EmbeddedError(message + "run as an ordinary user, or set OBAN_DSN") from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def open_to_others(path: Path) -> bool:
    """Tell whether any user can pass through (or execute) a path and all its parents."""
    path = path.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))


def run_base(account: Account | None) -> str:
    """Find a folder for temporary ones whose path is short enough for a Unix socket below it.

    Args:
        account: Who is to use what is made there; None for this process's own user.

    Returns:
        The folder.

    Raises:
        EmbeddedError: No temporary directory will do.
    """
    bases = (tempfile.gettempdir(), "/tmp", "/var/tmp")
    for base in bases:
        # A comma would part the path in two: both libpq and the server take lists.
        short = len(os.fsencode(base)) <= _LONGEST_BASE and not set(base) & set(',"')
        writable = os.access(base, os.W_OK | os.X_OK)
        if short and writable and (account is None or open_to_others(Path(base))):
            return base
    message = f"one of {', '.join(bases)} must be a short path that the server's user can write to"
    raise EmbeddedError(f"{message}, got none; point TMPDIR at such a directory, or set OBAN_DSN")
