"""A warehouse in a notebook: suggestions to play, samples to look at, a map, and a DuckDB that reads Delta. No Spark.

    from avlib.notebook import open_warehouse

    suggestions = open_warehouse("/data/warehouse").suggest("picture.jpg")
    suggestions[0].play()

What it shows holds its pictures and sounds in itself, asks nothing of any network, and keeps a still picture beside,
for where a saved notebook is only looked at. The notebooks in notebooks/ use all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avlib.notebook.duck import duckdb_with_delta
from avlib.notebook.gallery import Gallery, open_gallery
from avlib.notebook.places import find_warehouse
from avlib.notebook.scatter import CollectionMap
from avlib.notebook.sheet import Clip, ContactSheet

if TYPE_CHECKING:
    from avlib.notebook.collection import Collection, Moment, Player, Suggestions, open_warehouse

__all__ = [
    "Clip",
    "Collection",
    "CollectionMap",
    "ContactSheet",
    "Gallery",
    "Moment",
    "Player",
    "Suggestions",
    "duckdb_with_delta",
    "find_warehouse",
    "open_gallery",
    "open_warehouse",
]


def __getattr__(name: str) -> Any:
    """Import what suggests, and torch with it, when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from avlib.notebook import collection

    return getattr(collection, name)
