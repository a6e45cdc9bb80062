"""Look at the distributions that are installed in site-packages directories, and hash their files.

Everything here takes and returns plain data that a job can record.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNKNOWN_LICENCE = "unknown"
MAX_LICENCE = 60  # characters; what is longer is the text of a licence, not its name


class Installed(TypedDict):
    """A distribution, and the site-packages directory that it is in."""

    name: str
    version: str
    path: str


class Checked(TypedDict):
    """What became of the files that one RECORD names."""

    files: int  # compared with their hash, or found missing
    unhashed: int  # without a hash, or caches that Python writes anew
    mismatched: list[str]
    missing: list[str]
    unreadable: list[str]


type Verdict = Literal["sound", "mismatched", "missing", "unreadable"]


class RecordedFile(NamedTuple):
    """A line of a RECORD."""

    name: str
    path: Path
    digest: str  # "" without a hash

    @property
    def is_hashed(self) -> bool:
        """Whether its content has to be what was installed."""
        return bool(self.digest) and not (
            "__pycache__" in self.path.parts and self.path.suffix == ".pyc"
        )


def site_directories() -> list[str]:
    """List the directories on `sys.path` that hold distributions, in the order of the search."""
    candidates = dict.fromkeys(str(Path(entry).absolute()) for entry in sys.path)

    return [path for path in candidates if any(metadata.distributions(path=[path]))]


def list_installed(paths: Sequence[str]) -> dict[str, Installed]:
    """List distributions by normalized name; of several with one name, the one Python would import.

    Args:
        paths: Site-packages directories, in the order Python searches them.
    """
    installed: dict[str, Installed] = {}

    for path in paths:
        for found in metadata.distributions(path=[path]):
            # An interrupted uninstallation leaves folders without metadata behind.
            if name := found.metadata.get("Name"):
                entry = Installed(name=name, version=found.version, path=path)
                installed.setdefault(_normalize(name), entry)

    return dict(sorted(installed.items()))


def check(installed: Installed) -> Checked:
    """Hash every file that a distribution's RECORD names, and compare.

    Without a RECORD, as Debian installs, there is nothing to compare. A distribution that has gone
    since it was listed is missing itself.
    """
    checked = Checked(files=0, unhashed=0, mismatched=[], missing=[], unreadable=[])
    found = _find(installed)

    if found is None:
        checked["missing"].append(f"{installed['name']} {installed['version']}")
        return checked

    try:
        for file in _recorded_files(found):
            _check_file(file, checked)
    except (csv.Error, UnicodeDecodeError):
        checked["unreadable"].append("RECORD")

    return checked


def licence(installed: Installed) -> str:
    """Name a distribution's licence, from the most exact field that its metadata has."""
    found = _find(installed)

    if found is None:
        return UNKNOWN_LICENCE

    if expression := found.metadata.get("License-Expression"):
        return expression

    classifiers = (line.split(" :: ") for line in found.metadata.get_all("Classifier") or ())
    names = {parts[-1] for parts in classifiers if parts[0] == "License" and len(parts) > 2}
    text = (found.metadata.get("License") or "").strip()

    if names:
        return ", ".join(sorted(names))

    return text if text and "\n" not in text and len(text) <= MAX_LICENCE else UNKNOWN_LICENCE


def size(installed: Installed) -> int:
    """Add up the bytes of the files that a distribution's RECORD names and that are there."""
    found = _find(installed)

    if found is None:
        return 0

    try:
        return sum(
            file.path.stat().st_size for file in _recorded_files(found) if file.path.is_file()
        )
    except (csv.Error, UnicodeDecodeError, OSError):
        return 0


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _find(installed: Installed) -> metadata.Distribution | None:
    candidates = metadata.distributions(name=installed["name"], path=[installed["path"]])

    return next((found for found in candidates if found.version == installed["version"]), None)


def _recorded_files(distribution: metadata.Distribution) -> Iterator[RecordedFile]:
    # Not Distribution.files: it leaves out the files that are missing.
    for row in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        if row:
            name, digest = row[0], row[1] if len(row) > 1 else ""
            yield RecordedFile(name, Path(str(distribution.locate_file(name))), digest)


def _check_file(file: RecordedFile, checked: Checked) -> None:
    if not file.is_hashed:
        checked["unhashed"] += 1
        return

    checked["files"] += 1

    match _judge(file):
        case "mismatched":
            checked["mismatched"].append(file.name)
        case "missing":
            checked["missing"].append(file.name)
        case "unreadable":
            checked["unreadable"].append(file.name)


def _judge(file: RecordedFile) -> Verdict:
    algorithm, _, expected = file.digest.partition("=")

    try:
        if not file.path.exists():
            return "missing"

        # Reading a pipe or a device may never end.
        return _compare(file.path, algorithm, expected) if file.path.is_file() else "unreadable"
    except (OSError, ValueError):
        return "unreadable"


def _compare(path: Path, algorithm: str, expected: str) -> Verdict:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, algorithm).digest()

    actual = base64.urlsafe_b64encode(digest).decode().rstrip("=")

    return "sound" if actual == expected.rstrip("=") else "mismatched"
