"""Crawl a folder: each visit finds further folders and files."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oban_pro import Workflow

type Context = dict[str, Any]


def visit(folder: str, context: Context) -> Workflow:
    """Graft a job for each file of a folder, and a visit to each folder in it."""
    entries = sorted(Path(folder).iterdir())
    files = {entry.name: str(entry) for entry in entries if entry.is_file()}
    folders = {
        entry.name: str(entry) for entry in entries if entry.is_dir() and not entry.is_symlink()
    }

    return Workflow().add_cascade("read", (files, read)).add_graft("visit", (folders, visit))


def read(path: str, context: Context) -> dict[str, Any]:
    """Read one file. It is a plain ``def``, so it blocks only its own thread."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()

    return {"path": path, "size": size, "digest": digest}


def report(context: Context) -> dict[str, Any]:
    """Sum up all results, which are nested as the folders are."""
    (root,) = context["visit"].values()
    files = list(_below(root))
    sizes: Counter[str] = Counter()
    paths: dict[str, list[str]] = defaultdict(list)

    for file in files:
        sizes[Path(file["path"]).suffix or "no suffix"] += file["size"]
        paths[file["digest"]].append(file["path"])

    return {
        "files": len(files),
        "bytes": sizes.total(),
        "largest": sizes.most_common(3),
        "copies": sorted(same for same in paths.values() if len(same) > 1),
    }


def _below(folder: Context) -> Iterator[dict[str, Any]]:
    # A group without results is absent: a folder may have no files, or no folders.
    yield from folder.get("read", {}).values()

    for inner in folder.get("visit", {}).values():
        yield from _below(inner)


def build(folder: str) -> Workflow:
    """Build the crawl of a folder."""
    return (
        Workflow(name="crawl")
        .add_graft("visit", ([folder], visit))
        .add_cascade("report", report, deps="visit")
    )
