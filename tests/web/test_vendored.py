"""What the dashboard contains of others: as they published it, and with their licences."""

import hashlib

from tests.support.paths import PACKAGE, ROOT

VENDOR = PACKAGE / "web" / "static" / "vendor"
SUMS = {
    name: digest
    for digest, name in (
        line.split("  ", 1) for line in (VENDOR / "SHA256SUMS").read_text().splitlines()
    )
}
FOLDERS = sorted(path for path in VENDOR.iterdir() if path.is_dir())


def test_every_file_is_the_one_that_was_published() -> None:
    found = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in FOLDERS
        for path in folder.rglob("*")
    }

    assert found == SUMS


def test_every_library_has_its_licence_and_is_named_with_its_version() -> None:
    notice = (ROOT / "NOTICE").read_text().lower()

    for folder in FOLDERS:
        name, version = folder.name.rsplit("-", 1)
        assert (folder / "LICENSE").is_file()
        assert f"{name} {version}" in notice
