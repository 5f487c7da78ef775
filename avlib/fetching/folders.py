"""Temporary folders that do not outlive their process for long."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from avlib.fetching.progress import cannot_write

_PREFIX = "avlib-fetch-"


@contextmanager
def own_folder(uri: str) -> Iterator[Path]:
    """A new folder of this process in the temporary folder, for this URI, removed at the end.

    Folders of processes that were killed are removed by the next process that begins here.
    Raises MediaError where the temporary folder takes no more.
    """
    _sweep_once(os.getpid())
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{_mark()}{os.getpid()}-"))
    except OSError as error:
        raise cannot_write(uri, error) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@lru_cache(maxsize=1)
def _sweep_once(own_pid: int) -> None:
    """Remove folders of this host's dead processes. own_pid: a forked process sweeps again, which does no harm."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_mark()}*-*"):
        pid = folder.name.removeprefix(_mark()).partition("-")[0]
        if pid.isdigit() and int(pid) != own_pid and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _mark() -> str:
    # Containers may share a temporary folder but not process ids: each has a host name of its own.
    return f"{_PREFIX}{socket.gethostname()}."


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
