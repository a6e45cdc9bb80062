"""Survey the standard library: one job for each module, and one that sums up."""

from __future__ import annotations

import ast
import sys
import sysconfig
from pathlib import Path
from typing import Any

from oban_pro import Workflow

type Context = dict[str, Any]


def measure(path: str, context: Context) -> dict[str, int]:
    """Count what one module holds: the first argument is the item, the second the context."""
    source = (Path(context["root"]) / path).read_bytes()
    nodes = list(ast.walk(ast.parse(source)))

    return {
        "lines": source.count(b"\n"),
        "functions": sum(isinstance(node, ast.FunctionDef) for node in nodes),
        "coroutines": sum(isinstance(node, ast.AsyncFunctionDef) for node in nodes),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
    }


async def summarise(context: Context) -> dict[str, Any]:
    """Add up the results of all modules: they are a dict under the name of the fan-out."""
    modules: dict[str, dict[str, int]] = context["measure"]
    totals: dict[str, int] = {}

    for counts in modules.values():
        for what, count in counts.items():
            totals[what] = totals.get(what, 0) + count

    longest = max(modules, key=lambda name: modules[name]["lines"])

    return {"python": sys.version_info[:2], "modules": len(modules), **totals, "longest": longest}


def build(limit: int | None = None) -> Workflow:
    """Build the survey.

    Args:
        limit: How many modules to measure; all by default.
    """
    root = Path(sysconfig.get_path("stdlib"))
    modules = {path.stem: path.name for path in sorted(root.glob("*.py"))[:limit]}

    return (
        Workflow(name="survey")
        .add_context({"root": str(root)})
        .add_cascade("measure", (modules, measure), max_attempts=3)
        .add_cascade("summarise", summarise, deps="measure")
    )
