"""Of the long tests marked `sampled` an ordinary run takes some, drawn by a seed, for as long as there is time.

AVLIB_FAULTS_SECONDS: how long (120).  AVLIB_FAULTS_SEED: which; else those of the commit, so that every one has others
and yet the same again. `make test-long` runs all.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest


def _seed() -> int:
    """The same in all processes of a run."""
    if chosen := os.environ.get("AVLIB_FAULTS_SEED"):
        return int(chosen)
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=8", "HEAD"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout, 16)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return 0  # no checkout


def pytest_report_header() -> str:
    return f"faults: drawn with AVLIB_FAULTS_SEED={_seed()}"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sampled(seconds): a long test that an ordinary run may draw; what it takes")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    left = float(os.environ.get("AVLIB_FAULTS_SECONDS", "120"))
    sampled = [item for item in items if item.get_closest_marker("sampled")]
    random.Random(_seed()).shuffle(sampled)
    for item in sampled:
        seconds = item.get_closest_marker("sampled").args[0]  # type: ignore[union-attr]
        if seconds <= left:
            left -= seconds
            item.own_markers = [mark for mark in item.own_markers if mark.name != "long"]
