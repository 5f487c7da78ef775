"""Which warehouse a notebook is about."""

from __future__ import annotations

import os
from pathlib import Path

from avlib import tables
from avlib.errors import WarehouseError
from avlib.warehouse import Warehouse

VARIABLE = "AVLIB_WAREHOUSE"
_DEMO = Path("demo-out", "warehouse")


def find_warehouse(named: str | Path | None = None) -> Path:
    """A warehouse on this machine: the one that is named, else $AVLIB_WAREHOUSE, else the demo's.

    The demo's, demo-out/warehouse, is looked for here and in the folder above, as notebooks run in their own folder.
    Returns an absolute path. Raises WarehouseError where nothing has been described there.
    """
    given = named or os.environ.get(VARIABLE)
    places = [Path(given)] if given else [_DEMO, ".." / _DEMO]
    for place in places:
        if Warehouse(str(place)).exists(tables.VIDEOS):
            return place.expanduser().resolve()
    raise WarehouseError(f"no warehouse at {places[0]}: run `make demo`, or let {VARIABLE} name yours")
