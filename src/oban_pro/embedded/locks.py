"""File locks that end with the process that took them."""

import fcntl
import os
import weakref
from pathlib import Path


class FileLock:
    """An flock on a path.

    The kernel drops it when its process ends, however it ends. A forked child would share it and
    keep it alive, so children close their copy first thing.

    Args:
        path: The file, created when missing. Nothing is ever written to it.
    """

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        _locks.add(self)

    @property
    def closed(self) -> bool:
        """Whether the lock has been let go, or belongs to the parent of this process."""
        return self.fd < 0

    def share(self) -> None:
        """Wait until nobody holds the lock exclusively, and share it."""
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    def try_share(self) -> bool:
        """Share the lock, unless somebody holds it exclusively."""
        return self._try(fcntl.LOCK_SH)

    def try_own(self) -> bool:
        """Take the lock exclusively, unless anybody else holds it."""
        return self._try(fcntl.LOCK_EX)

    def close(self) -> None:
        """Let go; a process that inherited the descriptor keeps holding the lock."""
        if not self.closed:
            os.close(self.fd)
            self.fd = -1

    def _try(self, mode: int) -> bool:
        try:
            fcntl.flock(self.fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _close_all() -> None:
    for lock in list(_locks):
        lock.close()


os.register_at_fork(after_in_child=_close_all)
