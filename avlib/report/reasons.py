"""Why some samples were kept and others dropped, where a strategy is scored: who bears them out, and who does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from avlib import tables
from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.columns import descriptor_rows
from avlib.descriptors import normalise_visual
from avlib.evaluation import SampleSet
from avlib.identity import VIDEO_ID_SHIFT, video_ids
from avlib.report.picks import evenly
from avlib.warehouse import Warehouse

EXAMPLES = 4
BESIDE = 3


@dataclass(frozen=True, eq=False)
class Reason:
    """One sample and what was found about it.

    row: in the findings' samples.  videos: how many other videos bear it out.  beside: rows, at most 3: of a kept
    sample those that bear it out most, of a dropped one those of other videos that look most like it.
    """

    row: int
    score: float
    videos: int
    beside: Int64Array


@dataclass(frozen=True, eq=False)
class Reasons:
    """Examples of both.

    threshold: the score of the last sample that agrees.  agree: the rows of samples that do, in the findings' samples.
    copies: samples that were left out.
    """

    threshold: float
    kept: tuple[Reason, ...]
    dropped: tuple[Reason, ...]
    agree: Int64Array
    copies: int


def read_reasons(warehouse: Warehouse, samples: SampleSet, kept: BoolArray) -> Reasons:
    """Pick examples of a filter run that is scored, the same every time, and what speaks for or against them.

    kept: which samples are in the collection. Raises WarehouseError where there are no scores.
    """
    scores = warehouse.open(tables.SCORES).to_pyarrow_table().sort_by("sample_id")
    scores = scores.filter(pc.is_in(scores["sample_id"], pa.array(samples.ids)))  # others were described anew since
    rows = np.searchsorted(samples.ids, scores["sample_id"].to_numpy())
    values, agree = scores["score"].to_numpy(), scores["kept"].to_numpy(zero_copy_only=False)
    in_collection = np.flatnonzero(agree & kept[rows])
    dropped = np.flatnonzero(~agree)
    good = in_collection[examples(values[in_collection], video_ids(samples.ids[rows[in_collection]]))]
    bad = dropped[examples(-values[dropped], video_ids(samples.ids[rows[dropped]]))]
    alike = look_alike(warehouse, samples.ids[rows[bad]], among=samples.ids[rows])

    def reason(at: int, beside: Int64Array) -> Reason:
        found = beside[np.isin(beside, samples.ids)]
        return Reason(
            int(rows[at]), float(values[at]), scores["videos"][at].as_py(), np.searchsorted(samples.ids, found)
        )

    return Reasons(
        threshold=float(values[agree].min(initial=np.inf)),
        kept=tuple(reason(at, np.array(scores["supporters"][at].as_py(), np.int64)[:BESIDE]) for at in good.tolist()),
        dropped=tuple(reason(at, beside) for at, beside in zip(bad.tolist(), alike, strict=True)),
        agree=rows[agree],
        copies=_count(warehouse),
    )


def examples(scores: Float64Array, videos: Int64Array) -> Int64Array:
    """The best sample of some videos: of the best of all, the worst, and some between. The best first.

    scores, videos: shape (n,). Returns at most EXAMPLES rows.
    """
    order = np.lexsort((np.arange(len(scores)), -scores))
    best = order[np.sort(np.unique(videos[order], return_index=True)[1])]
    return evenly(best, min(EXAMPLES, len(best)))


def look_alike(warehouse: Warehouse, ids: Int64Array, *, among: Int64Array) -> list[Int64Array]:
    """For each of these samples the samples of three other videos whose pictures are most like its own, nearest first.

    among: ids of the samples that count. One pass over the pictures of all samples, a batch at a time.
    """
    dataset = warehouse.open(tables.SAMPLES).to_pyarrow_dataset()
    own = dataset.to_table(columns=["sample_id", "attempt", "visual"], filter=ds.field("sample_id").isin(ids.tolist()))
    newest = {row["sample_id"]: row["visual"] for row in own.sort_by("attempt").to_pylist()}
    if not len(ids):
        return []
    wanted = normalise_visual(np.array([newest[one] for one in ids.tolist()], np.float32))
    nearest = [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in ids]
    for batch in dataset.to_batches(columns=["sample_id", "visual"]):
        counting = batch.filter(pa.array(np.isin(batch["sample_id"].to_numpy(), among)))
        if counting.num_rows:
            nearest = _merged(nearest, ids, wanted, counting)
    return [found for found, _ in nearest]


def _merged(
    nearest: list[tuple[Int64Array, Float32Array]], ids: Int64Array, wanted: Float32Array, batch: pa.RecordBatch
) -> list[tuple[Int64Array, Float32Array]]:
    """The nearest of what was found before and of a batch, one of each video."""
    others: Int64Array = batch["sample_id"].to_numpy()
    pictures = normalise_visual(descriptor_rows(batch["visual"]))
    merged = []
    for one, picture, (known, apart) in zip(ids.tolist(), wanted, nearest, strict=True):
        foreign = np.flatnonzero(video_ids(others) != one >> VIDEO_ID_SHIFT)
        all_ids = np.concatenate([known, others[foreign]])
        distances = np.concatenate([apart, np.linalg.norm(pictures[foreign] - picture, axis=1)])
        order = np.lexsort((all_ids, distances))
        first = np.sort(np.unique(video_ids(all_ids[order]), return_index=True)[1])[:BESIDE]
        merged.append((all_ids[order[first]], distances[order[first]]))
    return merged


def _count(warehouse: Warehouse) -> int:
    if not warehouse.exists(tables.COPIES):
        return 0
    return int(warehouse.open(tables.COPIES).to_pyarrow_dataset().count_rows())
