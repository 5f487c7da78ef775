"""Edges as plain lists, and components as plain rows."""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame

Edges = list[tuple[int, int]]
EDGES = "src bigint, dst bigint"


def chain(length: int, *, shuffled: bool) -> Edges:
    ids = np.arange(length)
    if shuffled:
        np.random.default_rng(1).shuffle(ids)
    return list(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))


def sorted_rows(found: DataFrame) -> list[tuple[int, int]]:
    return sorted((row["sample_id"], row["component_id"]) for row in found.collect())
