"""PostgreSQL's client programs: their paths, and running commands that use them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from oban_pro.embedded import binaries
from tests.support.cli import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oban_pro.embedded.account import Account

CLIENTS = ("pg_dump", "pg_restore", "psql")
DEBIAN = Path("/usr/lib/postgresql")


def _folders() -> Iterator[Path]:
    yield binaries.find()

    if pg_dump := shutil.which("pg_dump"):
        yield Path(pg_dump).resolve().parent

    yield from DEBIAN.glob("*/bin")


def major_of(folder: Path) -> int:
    """Return the major release of the programs in a folder."""
    said = subprocess.run(
        [folder / "pg_dump", "--version"], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"\) (\d+)", said)
    assert match is not None

    return int(match[1])


def clients_for(dsn: str) -> Path:
    """Return the folder with programs of the server's release, or skip the test."""
    with psycopg.connect(dsn) as conn:
        major = conn.info.server_version // 10_000

    for folder in _folders():
        has_all = all(os.access(folder / name, os.X_OK) for name in CLIENTS)

        if has_all and major_of(folder) == major:
            return folder

    pytest.skip(f"pg_dump, pg_restore and psql of PostgreSQL {major} are not installed")


def upgradable() -> tuple[Path, Path]:
    """Return programs of two releases, the second with pg_upgrade, or skip the test."""
    new = binaries.find()
    older = [one for one in DEBIAN.glob("*/bin") if major_of(one) < major_of(new)]

    if not older or not (new / "pg_upgrade").exists():
        pytest.skip("the servers of two releases of PostgreSQL are not installed")

    return older[0], new


def run_shell(
    commands: str,
    folder: Path,
    clients: Path,
    variables: dict[str, str],
    account: Account | None = None,
) -> str:
    """Run commands in a shell, with PostgreSQL's programs and ours on PATH; return their output.

    Args:
        commands: The commands.
        folder: The current directory of the shell.
        clients: The folder of PostgreSQL's programs.
        variables: The environment of the shell.
        account: The user who runs the shell; by default the user who runs the tests.
    """
    path = [str(clients), str(Path(sys.executable).parent), os.environ["PATH"]]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=environment() | {"PATH": os.pathsep.join(path)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
        user=account.uid if account else None,
        group=account.gid if account else None,
    )
    assert done.returncode == 0, done.stdout[-3000:]

    return done.stdout
