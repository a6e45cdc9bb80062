"""Small site-packages directories for tests."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path


def recorded_hash(content: bytes) -> str:
    digest = hashlib.sha256(content).digest()

    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def add_distribution(
    site: Path,
    name: str,
    files: Mapping[str, bytes],
    *,
    version: str = "1.0",
    metadata: str = "License-Expression: MIT",
    record: str = "",
) -> None:
    """Install a distribution with these files. ``record`` has further lines for its RECORD."""
    lines = []

    for path, content in files.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        lines.append(f"{path},{recorded_hash(content)},{len(content)}")

    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}"
    (info / "METADATA").write_text(f"{head}\n{metadata}\n")
    (info / "RECORD").write_text("\n".join([*lines, f"{info.name}/RECORD,,", record]))
