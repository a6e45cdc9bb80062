"""Objects that hold recorded values outside of the database, on any file system of fsspec.

An object belongs to one job, and is removed with it. Its URL is
``<store>/<workflow>/<job>/<name>``: the name is the attempt that recorded it, with the turn of a
loop before it; ``0`` for the copy of a result that is reused; or that of a signal. So no object is
ever written a second time while a row refers to it.

fsspec blocks, so nothing here may run on an event loop: see `in_thread`. It is imported when a
store is used for the first time.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote
from uuid import uuid4

from . import blocking
from .errors import CodecError, InvalidArgumentError, InvalidOptionError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

logger = logging.getLogger(__name__)

THREADS: Final = 16
"""How many calls of fsspec a process makes at once."""

AHEAD: Final = 8
"""How many objects are read at once for one reader; these take memory beside their values."""

FOLDERS_MADE: Final = 3
"""How often the folder of an object is made before it is written."""

GRACE: Final = timedelta(hours=1)
"""How old an object must be to count as lost that is written in a transaction of the caller's."""

COPIED: Final = "0"
SIGNAL: Final = "signal-"

_LONGEST: Final = 150
_NO_FOLDERS: Final = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss"}
_NAME: Final = re.compile(rf"\d+(\.\d+)?|{SIGNAL}[0-9a-f]+", re.ASCII)


class Stored(NamedTuple):
    """A workflow that may have objects.

    Args:
        store: The URL of its store.
        workflow_id: Its id.
        last: The last job that may have any; 0 for a workflow without jobs.
    """

    store: str
    workflow_id: str
    last: int

    @classmethod
    def each_of(cls, rows: list[list[str]] | None) -> list[Stored]:
        """Build them from what ``oban_workflow_stored_v1`` returns."""
        return [cls(store, id, int(last or 0)) for store, id, last in rows or ()]


class Found(NamedTuple):
    """An object in a store: its URL, the id of its job, its name."""

    url: str
    job: int
    name: str

    @property
    def is_from_outside(self) -> bool:
        """Whether it was written in a transaction of the caller's, which may still be open."""
        return self.name == COPIED or self.name.startswith(SIGNAL)


def check_store(url: object) -> str | None:
    """Check the URL of a store, without connecting to it.

    Raises:
        InvalidArgumentError: If it is no string.
        InvalidOptionError: If it is no URL of a file system that fsspec knows.
        MissingExtraError: If fsspec is not installed, or what it needs for that file system.
    """
    if url is None:
        return None

    if not isinstance(url, str):
        raise InvalidArgumentError(f"store must be a URL, as in 's3://bucket/prefix', got {url!r}")

    protocols = [part.partition("://")[0] for part in url.split("::")]
    rest = url.rpartition("://")[2]

    if "://" not in url.split("::")[-1] or not all(protocols) or not url.isprintable():
        raise InvalidOptionError(f"store must be a URL, as in 's3://bucket/prefix', got {url!r}")

    for protocol in protocols:
        try:
            _fsspec().get_filesystem_class(protocol)
        except ValueError as error:
            raise InvalidOptionError(
                f"store must have a protocol that fsspec knows, got {url!r}: {error}"
            ) from None
        except ImportError as error:
            raise MissingExtraError(f"store {url!r} cannot be used: {error}") from error

    if protocols[-1] in ("file", "local") and not rest.startswith("/"):
        raise InvalidOptionError(f"store must have an absolute path, got {url!r}")

    if not rest.strip("/") and protocols[-1] != "memory":
        raise InvalidOptionError(f"store must lead to a bucket or a folder, got {url!r}")

    return url if url.endswith("://") else url.rstrip("/")


def folder(store: str, workflow_id: str, job_id: int | None = None) -> str:
    """Return the URL below which the objects of a workflow are, or those of one of its jobs."""
    parts = [_segment(workflow_id), *([] if job_id is None else [str(job_id)])]

    return "/".join([store, *parts])


def signal_name() -> str:
    """Return the name of an object for a signal."""
    return f"{SIGNAL}{uuid4().hex}"


def _segment(text: str) -> str:
    """Spell an id as the name of a folder on any file system; one that is long by its hash."""
    spelled = quote(text, safe="").replace(".", "%2E")

    if len(spelled) <= _LONGEST:
        return spelled

    return f"{spelled[:_LONGEST]}-{sha256(text.encode()).hexdigest()[:32]}"


async def in_thread[**P, R](function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a blocking function in a thread; a blocking handle, which has no loop, calls it here."""
    call = partial(function, *args, **kwargs)

    if blocking.is_blocking():
        return call()

    run = partial(contextvars.copy_context().run, call)

    return await asyncio.get_running_loop().run_in_executor(_threads(), run)


def read(url: str) -> bytes:
    """Read an object.

    Raises:
        CodecError: Naming the object, if it is missing or cannot be read.
    """
    try:
        system, path = _open(url)
        data: bytes = system.cat_file(path)
    except FileNotFoundError:
        raise CodecError(f"the object {url} is missing") from None
    except Exception as error:
        raise CodecError(f"the object {url} cannot be read: {_describe(error)}") from error

    return data


def read_each(urls: Iterable[str]) -> Iterator[bytes]:
    """Read objects in order, some of them ahead."""
    with ThreadPoolExecutor(AHEAD, "oban-store-reader") as pool:
        reading: deque[Future[bytes]] = deque()

        for url in urls:
            reading.append(pool.submit(read, url))

            if len(reading) == AHEAD:
                yield reading.popleft().result()

        while reading:
            yield reading.popleft().result()


def write(url: str, data: bytes) -> None:
    """Write an object.

    Raises:
        Exception: Whatever the file system raises.
    """
    system, path = _open(url)

    for _ in range(FOLDERS_MADE):
        try:
            system.pipe_file(path, data)
            return
        except FileNotFoundError:
            if _protocol(system) in _NO_FOLDERS:
                raise

            # somebody may remove it again, empty as it is
            system.makedirs(path.rpartition("/")[0], exist_ok=True)

    system.pipe_file(path, data)


def names_in(folder_url: str) -> list[str]:
    """Return the names of the objects of a job."""
    system, path = _open(folder_url)
    system.invalidate_cache()

    names = (path.rpartition("/")[2] for path in system.find(path))

    return [name for name in names if _is_name(name)]


def find(store: str, workflow_id: str | None = None) -> list[Found]:
    """Return the objects in a store, or those of one workflow; no other files that are there."""
    system, root = _open(store)
    _, inside = _open(store if workflow_id is None else folder(store, workflow_id))
    system.invalidate_cache()
    found = []

    for path in system.find(inside):
        workflow, *rest = path[len(root.rstrip("/")) :].strip("/").split("/")

        if len(rest) == 2 and rest[0].isascii() and rest[0].isdecimal() and _is_name(rest[1]):
            found.append(Found("/".join([store, workflow, *rest]), int(rest[0]), rest[1]))

    return found


def is_recent(url: str) -> bool:
    """Tell whether an object was written a short time ago; False where nobody knows."""
    try:
        system, path = _open(url)
        written: datetime = system.modified(path)
    except (NotImplementedError, OSError):
        return False

    aware = written if written.tzinfo else written.replace(tzinfo=UTC)

    return datetime.now(UTC) - aware < GRACE


def delete_workflows(stored: Iterable[Stored]) -> None:
    """Delete the objects of workflows that are gone.

    Another workflow may have taken the id since, and written objects of its own.
    """
    for one in stored:
        try:
            found = find(one.store, one.workflow_id)
        except FileNotFoundError:
            continue
        except Exception:
            url = folder(one.store, one.workflow_id)
            logger.warning("Cannot list %s; the doctor will", url, exc_info=True)
        else:
            delete([kept.url for kept in found if kept.job <= one.last])


def delete(urls: Iterable[str]) -> int:
    """Delete objects, and the folders that this leaves empty; returns how many objects.

    What cannot be deleted is logged, and stays for the doctor.
    """
    with ThreadPoolExecutor(AHEAD, "oban-store-remover") as pool:
        return sum(pool.map(_delete_one, urls))


def _delete_one(url: str) -> bool:
    try:
        system, path = _open(url)
        system.invalidate_cache()
        system.rm_file(path)
    except FileNotFoundError:
        return False
    except Exception:
        logger.warning("Cannot delete %s; the doctor will list it", url, exc_info=True)
        return False

    if _protocol(system) not in _NO_FOLDERS:
        job = path.rpartition("/")[0]

        # not empty, or not there any more
        with suppress(OSError, NotImplementedError):
            system.rmdir(job)
            system.rmdir(job.rpartition("/")[0])

    return True


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _protocol(system: Any) -> str:
    protocol = system.protocol

    return str(protocol if isinstance(protocol, str) else protocol[0])


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _open(url: str) -> tuple[Any, str]:
    system, path = _fsspec().core.url_to_fs(url)

    return system, path


@cache
def _fsspec() -> Any:
    try:
        import fsspec
        import fsspec.core
    except ImportError as error:
        raise MissingExtraError(
            "extra 'store' must be installed for a store, as in pip install"
            f" 'oban-workflows[store]', got: {error}"
        ) from error

    return fsspec


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "oban-store")
