"""Which faults are drawn: by AVLIB_FAULTS_SEED, else by the commit, so that each has others and yet the same again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def faults_seed() -> int:
    """The same in all processes of a run."""
    if chosen := os.environ.get("AVLIB_FAULTS_SEED"):
        return int(chosen)
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=8", "HEAD"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout, 16)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return 0  # no checkout
