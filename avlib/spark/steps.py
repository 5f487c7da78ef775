"""The order of a step's sub-stages: each needs what the one before it wrote, and drops what was made from its own."""

from __future__ import annotations

from pyspark.sql import DataFrame

from avlib import tables
from avlib.errors import WarehouseError
from avlib.spark.store import TableStore


def agreeing(store: TableStore) -> DataFrame:
    """sample_id of the samples that agree. Raises WarehouseError unless agreement has been run for this filter."""
    if not store.exists(tables.SCORES) or store.read(tables.SCORES).isEmpty():
        raise WarehouseError(
            f"{store.warehouse}, filter {store.name}: its strategy is scored and there are no scores; run `avlib "
            f"agreement --warehouse {store.warehouse} --name {store.name}` first, or `avlib filter` for all of it"
        )
    return store.read(tables.SCORES).where("kept").select("sample_id")


def require_neighbors(store: TableStore, step: int) -> None:
    """Raise WarehouseError unless knn has been run for this step."""
    if store.read(tables.NEIGHBORS, step=step).isEmpty():
        raise _missing(store, step, "knn")


def require_edges(store: TableStore, step: int) -> int:
    """How many mutual edges this step has. Raises WarehouseError unless mutual_edges has been run since its knn."""
    stats = store.read(tables.STEP_STATS, step=step).first() if store.exists(tables.STEP_STATS) else None
    if stats is None:
        raise _missing(store, step, "mutual_edges")
    return int(stats["edges"])


def require_components(store: TableStore, step: int) -> None:
    """Raise WarehouseError unless components has been run for this step since its mutual_edges."""
    edges = require_edges(store, step)
    # Where there is an edge, there is a component of two samples or more, which is listed, kept or not.
    listed = store.exists(tables.COMPONENT_STATS) and not store.read(tables.COMPONENT_STATS, step=step).isEmpty()
    if edges and not listed:
        raise _missing(store, step, "components")


def drop_later(store: TableStore, step: int) -> None:
    """Delete all that later steps wrote: they lie inside components of this one that are about to change."""
    if store.read(tables.NEIGHBORS).where(f"step > {step}").isEmpty():
        return  # knn comes first in a step, and drops what it had
    for table in reversed(tables.BY_STEP):  # neighbors last: a run that is killed here must come back
        store.drop_steps(table, first=step + 1)


def _missing(store: TableStore, step: int, stage: str) -> WarehouseError:
    return WarehouseError(
        f"{store.warehouse}, filter {store.name}: step {step} lacks {stage}; run knn, mutual_edges and components with "
        f"--step {step}, in this order"
    )
