"""What ends with the process that holds it, however that ends: locks of files, ends of pipes."""

import fcntl
import os
import threading
import weakref
from pathlib import Path


class Held:
    """A descriptor that no forked child keeps: children close their copy first thing."""

    fd = -1

    @property
    def closed(self) -> bool:
        """Whether the descriptor has been let go, or belongs to the parent of this process."""
        return self.fd < 0

    def close(self) -> None:
        """Let go; a process that inherited the descriptor keeps holding it."""
        with _no_fork:
            if not self.closed:
                os.close(self.fd)
                self.fd = -1


class FileLock(Held):
    """An flock on a path.

    The kernel drops it when its process ends, however it ends. A forked child would share it and
    keep it alive.

    Args:
        path: The file, created when missing. Nothing is ever written to it.
    """

    def __init__(self, path: Path) -> None:
        with _no_fork:
            self.fd = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
            _held.add(self)

    def share(self) -> None:
        """Wait until nobody holds the lock exclusively, and share it."""
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    def try_share(self) -> bool:
        """Share the lock, unless somebody holds it exclusively."""
        return self._try(fcntl.LOCK_SH)

    def try_own(self) -> bool:
        """Take the lock exclusively, unless anybody else holds it."""
        return self._try(fcntl.LOCK_EX)

    def _try(self, mode: int) -> bool:
        try:
            fcntl.flock(self.fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Lifeline(Held):
    """A pipe into which nothing is written: its reader sees the end once this process lets go.

    That is when the lifeline is closed, or when this process ends, however it ends.
    """

    def __init__(self) -> None:
        with _no_fork:
            self.reader, self.fd = os.pipe()
            _held.add(self)

    def close(self) -> None:
        """Let go of both ends; the process that was given the reader sees the end of the pipe."""
        with _no_fork:
            if not self.closed:
                os.close(self.reader)
                super().close()


_held: weakref.WeakSet[Held] = weakref.WeakSet()

# A child that another thread forks between the opening of a descriptor and its listing here would
# keep the descriptor, and with it the lock, for as long as the child lives.
_no_fork = threading.RLock()


def _close_all() -> None:
    _no_fork.release()

    for held in list(_held):
        held.close()


os.register_at_fork(
    before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_close_all
)
