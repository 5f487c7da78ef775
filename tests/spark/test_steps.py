"""Sub-stages run out of order are refused, and what was made from older edges is gone."""

from __future__ import annotations

import pytest
from filled_store import STEPS, fill, two_steps
from pyspark.sql import SparkSession
from raw_samples import RawSamples

from avlib import tables
from avlib.errors import WarehouseError
from avlib.spark import collection, components, filter, knn, mutual_edges
from avlib.spark.mutual_edges import mutual_edges as edges_of
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


def steps_of(store: TableStore, table: tables.Table) -> set[int]:
    return {row["step"] for row in store.read(table).select("step").distinct().collect()}


def test_order(store: TableStore, raw_samples: RawSamples) -> None:
    fill(store, raw_samples)
    settings = two_steps()
    filter.run(store, settings)
    kept = store.read(tables.COLLECTION).count()
    assert kept > 0
    knn.run(store, settings, 1)  # nothing has changed
    assert steps_of(store, tables.MUTUAL_EDGES) == {0, 1}
    knn.run(store, two_steps("knn.block_rows=50"), 1)
    with pytest.raises(WarehouseError, match="step 1 lacks mutual_edges"):
        components.run(store, settings, 1)
    mutual_edges.run(store, 1)
    with pytest.raises(WarehouseError, match="step 1 lacks components"):
        collection.run(store, settings, 1)
    assert store.read(tables.COLLECTION).count() == kept  # the good one is still there
    components.run(store, settings, 1)
    collection.run(store, settings, 1)
    assert store.read(tables.COLLECTION).count() == kept
    larger = STEPS.replace("min_size = 4", "min_size = 5")
    components.run(store, two_steps(f"filter.strategies.mine={larger}"), 0)  # step 1 lay inside other components
    for table in tables.BY_STEP:
        assert steps_of(store, table) == {0}, table.name
    with pytest.raises(WarehouseError, match="step 1 lacks knn"):
        mutual_edges.run(store, 1)
    mutual_edges.run(store, 0)  # nothing has changed
    assert steps_of(store, tables.COMPONENTS) == {0}
    knn.run(store, two_steps("knn.block_rows=50"), 0)
    mutual_edges.run(store, 0)
    assert steps_of(store, tables.COMPONENTS) == set()
    with pytest.raises(WarehouseError, match="step 0 lacks components"):
        collection.run(store, settings, 0)


def test_edges_are_listed_from_both_ends_and_have_the_smaller_distance(spark: SparkSession) -> None:
    huge = 2**63 - 1
    lists = [
        (1, [2, 3, huge], [0.5, 0.75, 4.0]),
        (2, [1, 1, 4], [0.25, 0.5, 1.0]),  # names a sample twice
        (3, [1], [0.75]),
        (4, [5, 5], [1.0, 1.0]),  # twice, but from one end alone
        (5, [5], [0.0]),  # itself
        (huge, [1], [3.5]),
    ]
    schema = "sample_id bigint, neighbor_ids array<bigint>, distances array<float>"
    found = edges_of(spark.createDataFrame(lists, schema).repartition(3)).collect()
    assert sorted(tuple(row) for row in found) == [(1, 2, 0.25), (1, 3, 0.75), (1, huge, 3.5)]
