"""Room on a disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

SPARE_BYTES = 5 * 10**9
"""A disk with less has no room for a machine's temporary files: copies of blocks, spilt rows, a fetched video."""


def temporary_folders() -> list[Path]:
    """Where this process and the Spark it belongs to put temporary files: in a task those of its executor."""
    named = os.environ.get("SPARK_LOCAL_DIRS") or os.environ.get("LOCAL_DIRS") or ""
    places = [tempfile.gettempdir(), *filter(None, named.split(","))]
    return [Path(place) for place in dict.fromkeys(places)]


def free_bytes(folder: Path) -> int:
    """Free bytes where a folder lies, or will lie when it is made."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free
