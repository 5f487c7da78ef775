"""Of the long tests marked `sampled` an ordinary run takes some, drawn by a seed, for as long as there is time.

AVLIB_FAULTS_SECONDS: how long (120).  AVLIB_FAULTS_SEED: which (see faults_seed). `make test-long` runs all.
"""

from __future__ import annotations

import os
import random

import pytest
from faults_seed import faults_seed


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sampled(seconds): a long test that an ordinary run may draw; what it takes")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    left = float(os.environ.get("AVLIB_FAULTS_SECONDS", "120"))
    sampled = [item for item in items if item.get_closest_marker("sampled")]
    random.Random(faults_seed()).shuffle(sampled)
    for item in sampled:
        seconds = item.get_closest_marker("sampled").args[0]  # type: ignore[union-attr]
        if seconds <= left:
            left -= seconds
            item.own_markers = [mark for mark in item.own_markers if mark.name != "long"]
