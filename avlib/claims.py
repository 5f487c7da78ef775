"""Who is at work on a warehouse: a file for each kind of work, locked by the process that does it.

The lock goes with its process, however that ends, so a killed run blocks nobody, nor another user. On file systems that
are not mounted, or without locks, nothing is checked: there is to be one driver for a warehouse (README, Run it again).
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pyarrow import fs

from avlib.errors import WarehouseError
from avlib.storage import filesystem

_LOG = logging.getLogger("avlib.claims")

OF_COMMITS = ("runs", "evaluation")
"""Claims on tables that runs at work side by side add to: held for one commit, taken last, and not told of as work."""

_FOLDER = "_running"
_LONGEST_PAUSE_S = 2.0
_LEAST_WAIT_S = 0.3  # `running` holds a lock for a moment
_JVM_ENDS_S = 20.0
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # Lustre's noflock, some of FUSE, old NFS


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
def claimed(warehouse: str, work: str, *, jvm: int = 0, wait_s: float = 0.0) -> Iterator[bool]:
    """Hold the claim on some work of a warehouse while the block runs; false where there is nothing to hold it by.

    wait_s: how long to wait for another run that holds it. Raises WarehouseError, naming that run, after that.
    """
    folder = _local_folder(warehouse)
    if folder is None:
        yield False
        return
    place = folder / f"{work}.json"
    handle = _locked(place, warehouse, wait_s)
    if handle is None:
        _say_unchecked(warehouse)
        _remove(place)
        yield False
        return
    try:
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        claim = Claim(work, socket.gethostname(), os.getpid(), jvm, now)
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(asdict(claim)).encode(), 0)
        yield True
    finally:
        _remove(place)  # before the lock goes: whoever waits for it looks whether the file is still it
        os.close(handle)
        _remove_left(folder)


def running(warehouse: str) -> list[Claim]:
    """Who is at work on a warehouse, by what they do."""
    folder = _local_folder(warehouse)
    found = []
    for place in sorted(folder.glob("*.json")) if folder is not None else ():
        if place.stem in OF_COMMITS:
            continue
        try:
            handle = os.open(place, os.O_RDONLY)
        except OSError:  # it has just ended
            continue
        try:
            _lock(handle, fcntl.LOCK_SH)  # of a run that was killed, or not known
        except BlockingIOError:
            claim = _read(handle)
            found += [claim] if claim else []
        finally:
            os.close(handle)
    return found


def has_locks(place: Path) -> bool:
    """Whether a file lies where runs can know of each other."""
    handle = os.open(place, os.O_RDWR)
    try:
        return _lock(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


def _local_folder(warehouse: str) -> Path | None:
    system, path = filesystem(warehouse)
    return Path(path, _FOLDER) if isinstance(system, fs.LocalFileSystem) else None


def _locked(place: Path, warehouse: str, wait_s: float) -> int | None:
    """The open file, locked; None where the file system has no locks."""
    deadline, pause_s = time.monotonic() + max(wait_s, _LEAST_WAIT_S), 0.05
    while True:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle, writable = _opened(place)
        except FileNotFoundError:  # the last that was at work has just removed the folder
            continue
        with ExitStack() as opened:
            opened.callback(os.close, handle)
            try:
                if not _lock(handle, fcntl.LOCK_EX):
                    return None
                if _is_there(handle, place):
                    _wait_for_its_jvm(handle, place)
                    if writable:
                        opened.pop_all()
                        return handle
                    place.unlink()  # another user's, whose run was killed; now one's own takes its place
            except BlockingIOError:
                holder = _read(handle)
                if time.monotonic() >= deadline:
                    raise WarehouseError(
                        f"{warehouse}: another run is at this ({holder or place.stem}); wait for it, or end it first"
                    ) from None
            except OSError as error:
                if writable:
                    raise
                said = f"{place} is left from another user's run and cannot be replaced ({error.strerror})"
                raise WarehouseError(f"{said}: remove it, as its owner") from error
        time.sleep(pause_s * random.uniform(0.5, 1))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _remove(place: Path) -> None:
    with suppress(OSError):  # another user's, where nothing is locked; or others are at work
        place.unlink(missing_ok=True)
        place.parent.rmdir()


def _remove_left(folder: Path) -> None:
    """Remove the files of killed runs: nobody may ever claim the same again. Those whose JVM is still there stay."""
    for place in folder.glob("*.json"):
        with suppress(OSError), ExitStack() as opened:  # another's, at work or of another user; or it has just ended
            handle = os.open(place, os.O_RDWR)
            opened.callback(os.close, handle)
            if _lock(handle, fcntl.LOCK_EX) and _is_there(handle, place):
                left = _read(handle)
                if left is None or not _has_jvm(left):
                    place.unlink()
    with suppress(OSError):
        folder.rmdir()


def _opened(place: Path) -> tuple[int, bool]:
    """The open file, and whether it may be written; of another user's reading is enough, to lock it."""
    try:
        return os.open(place, os.O_RDWR | os.O_CREAT, 0o644), True
    except PermissionError as error:
        with suppress(OSError):
            return os.open(place, os.O_RDONLY), False
        raise WarehouseError(f"{place} cannot be written ({error.strerror}): its folder must be writable") from error


def _lock(handle: int, kind: int) -> bool:
    """Lock an open file; False where its file system has no locks. Raises BlockingIOError where another has it."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


@cache  # once
def _say_unchecked(warehouse: str) -> None:
    _LOG.warning("%s has no file locks: nobody checks who else is at work; run one driver at a time there", warehouse)


def _is_there(handle: int, place: Path) -> bool:
    """Whether the open file is the one that lies there, and not one that its holder has removed since."""
    try:
        return os.fstat(handle).st_ino == place.stat().st_ino
    except FileNotFoundError:
        return False


def _wait_for_its_jvm(handle: int, place: Path) -> None:
    """Wait for the JVM of a run that was killed: it outlives its Python by a moment, and may commit in it.

    On another host it cannot be seen. It has one commit left at most and should end before a run elsewhere has started
    its Spark; samples that it adds to another describe's after all are found by that one's last check, an error.
    """
    deadline = time.monotonic() + _JVM_ENDS_S
    while (left := _read(handle)) is not None and _has_jvm(left):
        if time.monotonic() >= deadline:
            raise WarehouseError(
                f"the JVM of a run that was killed ({left}) is still there and may write: end it (kill {left.jvm}); "
                f"or, if that process is something else's, remove {place}"
            )
        time.sleep(0.1)


def _has_jvm(left: Claim) -> bool:
    """Whether the JVM of a run that was killed is still there, as far as this machine can tell."""
    return left.jvm > 0 and left.host == socket.gethostname() and _is_java(left.jvm)


def _is_java(process: int) -> bool:
    """Whether a process runs Java. One that has ended, whose parent does not ask for it, has no command any more."""
    with suppress(OSError):  # it ends while it is read
        command = Path(f"/proc/{process}/cmdline").read_bytes().partition(b"\0")[0]
        return Path(os.fsdecode(command)).name == "java"
    return False


def _read(handle: int) -> Claim | None:
    try:
        return Claim(**json.loads(os.pread(handle, 4096, 0)))
    except (ValueError, TypeError):
        return None
