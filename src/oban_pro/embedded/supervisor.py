"""Run one PostgreSQL server for as long as somebody uses it.

This is a program, run apart from the users of the server: what ends one of them does not end the
server, and what ends the last of them (kill -9 included) cannot leave the server behind.

Everybody who uses a server shares the lock `users.lock` in its folder. The supervisor waits to own
that lock alone; then it shuts the server down. The lock `server.lock` is inherited by every process
of the server, so whoever gets it knows that none is left, even after a crash.

The supervisor also makes the temporary folder that it removes at the end, so its caller leaves none
behind, whenever that is killed. The caller of a temporary server cannot share `users.lock` before
there is a folder; it holds the other end of our standard input until it does.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, NoReturn, TypedDict

READY = "ready in "
"""What the standard output says of a server that takes connections, before its folder."""

_PATIENCE = 30.0  # seconds between the polite way to stop a server and the next ruder one


class Spec(TypedDict):
    """What to run, as JSON on the command line."""

    home: str | None  # the folder of the locks, the log and the data directory; None: as `run`
    run: str | None  # the socket's folder, removed at the end; None: one is made in `base`
    base: str
    bindir: str
    initdb: list[str]
    postgres: list[str]
    user: int | None  # None: as ourselves
    group: int | None
    by_descriptor: bool  # the user cannot pass through the parents of `home`
    lock: int | None  # the descriptor of server.lock; None: taken here


class Place(NamedTuple):
    """Where the server is, once that is made."""

    home: Path
    run: Path
    lock: int
    log: IO[bytes]


def pgdata(home: Path) -> Path:
    """Name the data directory in a server's folder."""
    return home / "pgdata"


def read_status(home: Path) -> tuple[int, Path] | None:
    """Read the process id and the socket's directory of a server that is ready.

    Args:
        home: The server's folder.

    Returns:
        None while the server does not say that it is ready. After a crash that may be stale.
    """
    try:
        lines = (pgdata(home) / "postmaster.pid").read_bytes().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8 or lines[7].strip() != b"ready":
        return None
    return int(lines[0]), Path(os.fsdecode(lines[4]))


def main(spec: Spec) -> None:
    """Detach from the caller and run the server; its standard output tells whether it is ready."""
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, _exit)
    output = ""
    try:
        with _place(spec) as place:
            try:
                _initialize(spec, place)
                _run(spec, place)
            except (OSError, subprocess.SubprocessError) as error:
                output = _explain(place, str(error))
    except OSError as error:
        output = str(error)
    # Not before the folder is gone: the caller may look.
    _tell(output)


def _exit(*_: object) -> NoReturn:
    sys.exit()


@contextlib.contextmanager
def _place(spec: Spec) -> Iterator[Place]:
    """Make what is missing, and remove the socket's folder in the end."""
    run = Path(spec["run"] or tempfile.mkdtemp(prefix="oban-pg-", dir=spec["base"]))
    try:
        _give(run, spec)
        home, lock = Path(spec["home"] or run), spec["lock"]
        if lock is None:
            lock = os.open(home / "server.lock", os.O_RDONLY | os.O_CREAT, 0o644)
            fcntl.flock(lock, fcntl.LOCK_EX)
        with _log(home) as log:
            yield Place(home, run, lock, log)
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _give(folder: Path, spec: Spec) -> None:
    if spec["user"] is not None and spec["group"] is not None:
        os.chown(folder, spec["user"], spec["group"])


def _initialize(spec: Spec, place: Place) -> None:
    home = place.home
    for leftover in home.glob("initdb-*"):
        shutil.rmtree(leftover)
    if pgdata(home).exists():
        # Nobody runs on this data: we hold server.lock. The id may be another program's by now.
        (pgdata(home) / "postmaster.pid").unlink(missing_ok=True)
        return
    draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=home))
    _give(draft, spec)
    initdb = _spawn(spec, place, "initdb", draft, spec["initdb"])
    try:
        if status := initdb.wait():
            raise subprocess.CalledProcessError(status, "initdb")
    finally:
        initdb.kill()
    draft.rename(pgdata(home))
    _sync(home)


def _run(spec: Spec, place: Place) -> None:
    home = place.home
    args = [*spec["postgres"], f'--unix_socket_directories="{place.run}"']
    server = _spawn(spec, place, "postgres", pgdata(home), args)
    threading.Thread(target=_stop_when_unused, args=(home, server), daemon=True).start()
    try:
        while server.poll() is None and not read_status(home):
            time.sleep(0.005)
        if server.poll() is None:
            _tell_ready(home)
        elif server.returncode:
            raise subprocess.CalledProcessError(server.returncode, "postgres")
        server.wait()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def _stop_when_unused(home: Path, server: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass  # nothing is written; the end is what counts
    users = os.open(home / "users.lock", os.O_RDONLY | os.O_CREAT, 0o644)
    fcntl.flock(users, fcntl.LOCK_EX)
    # Fast shutdown, immediate shutdown, none. The lock is held until this program ends.
    for stop in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(stop)
        time.sleep(_PATIENCE)


def _spawn(
    spec: Spec, place: Place, program: str, data: Path, args: list[str]
) -> subprocess.Popen[bytes]:
    with _reach(spec, data) as (path, descriptors):
        return subprocess.Popen(
            [Path(spec["bindir"], program), "-D", path, *args],
            stdin=subprocess.DEVNULL,
            stdout=place.log,
            stderr=place.log,
            cwd="/",
            user=spec["user"],
            group=spec["group"],
            extra_groups=None if spec["user"] is None else [],
            pass_fds=(place.lock, *descriptors),
            preexec_fn=_end_with_parent,  # noqa: PLW1509 (no thread runs yet)
        )


@contextlib.contextmanager
def _reach(spec: Spec, data: Path) -> Iterator[tuple[str, list[int]]]:
    if not spec["by_descriptor"]:
        yield str(data), []
        return
    # An open descriptor works whatever the permissions of the parent directories.
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", [descriptor]
    finally:
        os.close(descriptor)


def _end_with_parent() -> None:
    # So that kill -9 of this program stops the server too, where the kernel offers it.
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)


def _log(home: Path) -> IO[bytes]:
    log = home / "postgres.log"
    log.unlink(missing_ok=True)
    return log.open("xb", buffering=0)


def _explain(place: Place, error: str) -> str:
    lines = (place.home / "postgres.log").read_text(errors="replace").splitlines()
    return "\n".join([error, *lines[-20:]])


def _tell(output: str) -> None:
    # The caller may be dead; others may use the server all the same.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, os.fsencode(output))


def _tell_ready(home: Path) -> None:
    _tell(f"{READY}{home}")
    # The caller waits for the end of our output.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
