"""Who is at work on a warehouse: a file for each kind of work, locked by the process that does it.

The lock goes with its process, however that ends, so a killed run blocks nobody. On file systems that are not mounted
there are no locks: there is one driver for a warehouse (README, Run it again).
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyarrow import fs

from avlib.errors import WarehouseError
from avlib.storage import filesystem

_FOLDER = "_running"
_LONGEST_PAUSE_S = 2.0
_LEAST_WAIT_S = 0.3  # `running` holds a lock for a moment
_JVM_ENDS_S = 20.0


@dataclass(frozen=True)
class Claim:
    """work: what is claimed, as `describe` or `filter-default`.  jvm: the process of Spark's driver beside it."""

    work: str
    host: str
    process: int
    jvm: int
    started: str

    def __str__(self) -> str:
        return f"{self.work}, since {self.started} on {self.host}, process {self.process}"


@contextmanager
def claimed(warehouse: str, work: str, *, jvm: int = 0, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the claim on some work of a warehouse while the block runs.

    wait_s: how long to wait for another run that holds it. Raises WarehouseError, naming that run, after that.
    """
    folder = _local_folder(warehouse)
    if folder is None:
        yield
        return
    place = folder / f"{work}.json"
    handle = _locked(place, warehouse, wait_s)
    try:
        _wait_for_its_jvm(handle)
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        claim = Claim(work, socket.gethostname(), os.getpid(), jvm, now)
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(asdict(claim)).encode(), 0)
        yield
    finally:
        place.unlink(missing_ok=True)  # before the lock goes: whoever waits for it looks whether the file is still it
        os.close(handle)
        with suppress(OSError):  # others are at work
            folder.rmdir()


def running(warehouse: str) -> list[Claim]:
    """Who is at work on a warehouse, by what they do."""
    folder = _local_folder(warehouse)
    found = []
    for place in sorted(folder.glob("*.json")) if folder is not None else ():
        try:
            handle = os.open(place, os.O_RDWR)
        except OSError:  # it has just ended, or is another user's
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # of a run that was killed
        except BlockingIOError:
            claim = _read(handle)
            found += [claim] if claim else []
        finally:
            os.close(handle)
    return found


def _local_folder(warehouse: str) -> Path | None:
    system, path = filesystem(warehouse)
    return Path(path, _FOLDER) if isinstance(system, fs.LocalFileSystem) else None


def _locked(place: Path, warehouse: str, wait_s: float) -> int:
    """The open file, locked."""
    deadline, pause_s = time.monotonic() + max(wait_s, _LEAST_WAIT_S), 0.05
    while True:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # the last that was at work has just removed the folder
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(handle, place):
                return handle
        except BlockingIOError:
            holder = _read(handle)
            if time.monotonic() >= deadline:
                os.close(handle)
                raise WarehouseError(
                    f"{warehouse}: another run is at this ({holder or place.stem}); wait for it, or end it first"
                ) from None
        os.close(handle)
        time.sleep(pause_s * random.uniform(0.5, 1))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _is_there(handle: int, place: Path) -> bool:
    """Whether the open file is the one that lies there, and not one that its holder has removed since."""
    try:
        return os.fstat(handle).st_ino == place.stat().st_ino
    except FileNotFoundError:
        return False


def _wait_for_its_jvm(handle: int) -> None:
    """Wait for the JVM of a run that was killed: it outlives its Python by a moment, and may commit in it."""
    left = _read(handle)
    if left is None or not left.jvm or left.host != socket.gethostname():
        return
    name = Path(f"/proc/{left.jvm}/comm")
    deadline = time.monotonic() + _JVM_ENDS_S
    while time.monotonic() < deadline and name.exists() and name.read_text().strip() == "java":
        time.sleep(0.1)


def _read(handle: int) -> Claim | None:
    try:
        return Claim(**json.loads(os.pread(handle, 4096, 0)))
    except (ValueError, TypeError):
        return None
