"""The most memory that the driver and its Python workers have held, as Linux counts it; elsewhere unknown."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(eq=False)
class Peak:
    """driver_bytes: of Python and the JVM together.  worker_bytes: of the largest Python worker on this machine."""

    driver_bytes: int = 0
    worker_bytes: int = 0


_open: list[Peak] = []


def begin(jvm: int) -> Peak:
    """Count from now on, until `end`."""
    _mark(jvm)
    _open.append(Peak())
    return _open[-1]


def end(peak: Peak, jvm: int) -> None:
    """Stop counting."""
    _mark(jvm)
    _open.remove(peak)


def _mark(jvm: int) -> None:
    """Add what has been held since the last mark to all that count."""
    driver = _taken(os.getpid()) + _taken(jvm)
    worker = max((_taken(process) for process in _workers(jvm)), default=0)
    for peak in _open:
        peak.driver_bytes = max(peak.driver_bytes, driver)
        peak.worker_bytes = max(peak.worker_bytes, worker)


def _taken(process: int) -> int:
    """The peak of a process since it was last asked for."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        Path(f"/proc/{process}/clear_refs").write_text("5")
    except OSError:  # no such process any more; no Linux
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) << 10


def _workers(jvm: int) -> list[int]:
    """The processes that the JVM has started, and theirs."""
    found, left = [], [jvm]
    while left:
        process = left.pop()
        children: list[int] = []
        with suppress(OSError):  # no such process any more; no Linux
            for thread in Path(f"/proc/{process}/task").iterdir():
                with suppress(OSError):  # threads of a JVM come and go
                    children += map(int, (thread / "children").read_text().split())
        found += children
        left += children
    return found
