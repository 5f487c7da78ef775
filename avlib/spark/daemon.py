"""Spark's daemon of Python workers, which does not read the lists of archives before every task.

Spark puts itself and the JARs of its packages on the path of its workers as zip files, and asks Python to look at all
of these anew before each task. Python then reads the list of an archive once for every package that comes from it:
pyspark's fourteen times, a tenth of a second; those of some fifty JARs, in which there is no Python, up to half of one.
"""

from __future__ import annotations

import gc
import sys
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


if __name__ == "__main__":
    sys.path_hooks[:] = [Archive if hook is zipimporter else hook for hook in sys.path_hooks]
    sys.path_importer_cache.clear()

    from pyspark.daemon import manager

    gc.collect()
    gc.freeze()  # workers, which are forked off it, collect garbage after every task
    manager()  # type: ignore[no-untyped-call]
