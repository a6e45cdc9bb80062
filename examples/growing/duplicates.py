"""Find duplicate files: what there is to do is known only when the folder has been read."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

from oban_pro import Workflow, from_result

type Context = dict[str, Any]


def find(context: Context) -> list[str]:
    """List the files; what follows is a job for each of them."""
    return sorted(str(path) for path in Path(context["folder"]).rglob("*") if path.is_file())


def measure(path: str, context: Context) -> tuple[str, int]:
    return path, Path(path).stat().st_size


def compare(context: Context) -> Workflow | None:
    """Branch: read files only where several have the same size, else go on without."""
    by_size: dict[int, list[str]] = defaultdict(list)

    for path, size in context["measure"].values():
        by_size[size].append(path)

    suspects = [path for paths in by_size.values() if len(paths) > 1 for path in paths]

    return Workflow().add_cascade("digest", (suspects, digest)) if suspects else None


def digest(path: str, context: Context) -> tuple[str, str]:
    return path, hashlib.sha256(Path(path).read_bytes()).hexdigest()


def report(context: Context) -> list[list[str]]:
    """Group equal files; the graft is an empty dict where nothing was grafted."""
    by_digest: dict[str, list[str]] = defaultdict(list)

    for path, hexdigest in context["compare"].get("digest", {}).values():
        by_digest[hexdigest].append(path)

    return sorted(paths for paths in by_digest.values() if len(paths) > 1)


def build(folder: str) -> Workflow:
    """Build the search for duplicates below a folder."""
    return (
        Workflow(name="duplicates")
        .add_context({"folder": folder})
        .add_cascade("find", find)
        .add_cascade("measure", (from_result("find"), measure), deps="find")
        .add_graft("compare", compare, deps="measure")
        .add_cascade("report", report, deps="compare")
    )
