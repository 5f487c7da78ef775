"""Room on a disk."""

from __future__ import annotations

import shutil
from pathlib import Path

SPARE_BYTES = 5 * 10**9
"""A disk with less has no room for a machine's temporary files: copies of blocks, spilt rows, a fetched video."""


def free_bytes(folder: Path) -> int:
    """Free bytes where a folder lies, or will lie when it is made."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free
