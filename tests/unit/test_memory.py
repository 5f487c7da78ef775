"""The most memory that was held while it was counted, also by work inside other work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from avlib.spark import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counted as Linux does")

MUCH = 200 << 20


def test_peaks() -> None:
    outer = memory.begin(0)
    large = bytearray(MUCH)
    large[::4096] = b"x" * len(large[::4096])
    inner = memory.begin(0)  # counts from here, with what is held
    del large
    memory.end(inner, 0)
    later = memory.begin(0)
    memory.end(later, 0)
    memory.end(outer, 0)
    assert outer.driver_bytes >= later.driver_bytes + MUCH * 0.8
    assert inner.driver_bytes >= later.driver_bytes + MUCH * 0.8
    assert outer.worker_bytes == 0


def test_workers_are_found_while_threads_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    there = Path.iterdir

    def with_a_thread_that_has_ended(folder: Path) -> Iterator[Path]:
        yield folder / "0"
        yield from there(folder)

    monkeypatch.setattr(Path, "iterdir", with_a_thread_that_has_ended)
    try:
        assert child.pid in memory._workers(os.getpid())
    finally:
        child.communicate(b"\n")
    assert memory._workers(child.pid) == []
