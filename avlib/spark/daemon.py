"""Spark's daemon of Python workers, with less to do and to wait for in every task.

Archives. Spark puts itself and the JARs of its packages on the path of its workers as zip files, and asks Python to
look at all of these anew before each task. Python then reads the list of an archive once for every package that comes
from it: pyspark's fourteen times, a tenth of a second; those of some fifty JARs, in which there is no Python, up to
half of one.

Waiting. Spark sends a task to its worker in several small pieces, the next one once the one before is acknowledged
(Nagle's algorithm), and the worker's system puts off acknowledging for 40 ms, in case it had something to send, too.

Garbage. Spark has it collected after every task, which looks through all objects of all packages: 50 ms and more.
"""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zipimport import zipimporter


class Archive(zipimporter):
    """As `zipimporter`, but for JARs, and reads the list again only of a file that has changed. For sys.path_hooks.

    Raises ImportError for what it does not import.
    """

    def __init__(self, place: str) -> None:
        if place.endswith(".jar"):
            raise ImportError(place)
        super().__init__(place)
        # The list may be one that Python read earlier, for another package of the archive.
        self._known = _STATES.setdefault(self.archive, _state(self.archive))

    def invalidate_caches(self) -> None:
        """Called by Python where files may have come or gone."""
        state = _state(self.archive)
        if state != self._known:
            super().invalidate_caches()
            self._known = _STATES[self.archive] = state


_STATES: dict[str, tuple[int, ...] | None] = {}
"""What each archive's file was like when Python read its list."""


def _state(archive: str) -> tuple[int, ...] | None:
    try:
        found = Path(archive).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Garbage:
    """Stands for Python's gc in Spark's daemon: what a task has imported stays, and is not looked through again."""

    def __init__(self) -> None:
        self._modules = len(sys.modules)

    def collect(self) -> None:
        """Called after every task."""
        gc.collect()
        if len(sys.modules) > self._modules:
            gc.freeze()
            self._modules = len(sys.modules)


def answering_at_once(serve: Callable[[socket.socket, bool], int]) -> Callable[[socket.socket, bool], int]:
    """A worker's way to serve one task, its first pieces acknowledged as they come."""

    def served(connection: socket.socket, authenticated: bool) -> int:
        with suppress(AttributeError, OSError):  # of Linux, and no matter of Unix sockets
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return serve(connection, authenticated)

    return served


if __name__ == "__main__":
    sys.path_hooks[:] = [Archive if hook is zipimporter else hook for hook in sys.path_hooks]
    sys.path_importer_cache.clear()

    from pyspark import daemon

    gc.collect()
    gc.freeze()  # for the workers, which are forked off it
    daemon.gc = Garbage()  # type: ignore[assignment, attr-defined]
    daemon.worker = answering_at_once(daemon.worker)
    daemon.manager()  # type: ignore[no-untyped-call]
