"""Spark's daemon of Python workers, without Java archives on Python's path.

Spark puts the JARs of its packages on the path of its workers, some fifty zip files to Python, and asks Python to
read their lists anew before every task: a quarter of a second of each.
"""

from __future__ import annotations

import sys
from zipimport import zipimporter


def no_jar(place: str) -> zipimporter:
    """As `zipimporter`, but for JARs: a hook for sys.path_hooks. Raises ImportError for what it does not import."""
    if place.endswith(".jar"):
        raise ImportError(place)
    return zipimporter(place)


if __name__ == "__main__":
    sys.path_hooks[:] = [no_jar if hook is zipimporter else hook for hook in sys.path_hooks]
    sys.path_importer_cache.clear()

    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
