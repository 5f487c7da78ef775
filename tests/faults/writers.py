"""Processes that write one warehouse at once, each with a JVM of its own, and what they do in each round."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

from kill_points import media_settings

from avlib.config import load_settings
from avlib.errors import WarehouseError
from avlib.spark import describe, ingest, optimize
from avlib.spark.session import get_session
from avlib.spark.store import TableStore

STARTS_S = 120.0
_WAITS_S = 600.0
_ANOTHER = "another run is at this ("


def write(warehouse: str, rounds: Sequence[Sequence[Path]], together: Barrier) -> None:
    """Ingest what each round brings, and describe it."""
    store = _store(warehouse, together)
    for inputs in rounds:
        ingest.run(store, media_settings(), [str(place) for place in inputs])
        _until_it_may(lambda: describe.run(store, media_settings()))


def lay_out(warehouse: str, ended: Event, together: Barrier) -> None:
    """Optimize again and again, and once when the writers have ended; until then they may keep their tables."""
    store = _store(warehouse, together)
    while not ended.is_set():
        try:
            list(optimize.run(store))
        except WarehouseError as error:
            if f"{_ANOTHER}ingest, since" not in str(error) and f"{_ANOTHER}describe, since" not in str(error):
                raise
        time.sleep(0.5)
    list(optimize.run(store))


def _store(warehouse: str, together: Barrier) -> TableStore:
    """The warehouse, once all others have theirs."""
    spark = get_session(load_settings(assignments=["spark.master=local[1]", "spark.driver_memory=1g"]).spark)
    together.wait(STARTS_S)
    return TableStore(spark, warehouse)


def _until_it_may(work: Callable[[], object]) -> None:
    """As somebody does who reads what a refusal says."""
    deadline = time.monotonic() + _WAITS_S
    while True:
        try:
            work()
            return
        except WarehouseError as error:
            if f"{_ANOTHER}describe, since" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
