"""Building an index: what each task of the index stage does with its samples. Arrow in, Arrow out, no Spark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from avlib.arrays import Float32Array, Int64Array
from avlib.columns import descriptor_column, descriptor_rows
from avlib.config import IndexSettings
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.retrieval.calibration import NEAREST, ShardAnswers, ask, choose_probes, nearest_of
from avlib.retrieval.index import MODALITIES, ROWS, CellProbing, Shard
from avlib.retrieval.shards import read_ivf, train_ivf, write_descriptors, write_ivf, write_rows

BUILT = pa.schema(
    [
        ("modality", pa.string()),
        ("number", pa.int64()),
        ("file", pa.string()),
        ("samples", pa.int64()),
        ("sha256", pa.string()),
        ("nearest", pa.list_(pa.float32())),  # these three: see ShardAnswers; null of rows
        ("distances", pa.list_(pa.float32())),
        ("ranks", pa.list_(pa.int32())),
    ]
)
"""One row for each file."""


@dataclass(frozen=True, eq=False)
class Asking:
    """Random samples that ask the others.  ids: shape (a,).  descriptors: by modality, shape (a, d), normalised."""

    ids: Int64Array
    descriptors: Mapping[str, Float32Array]


@dataclass(frozen=True, eq=False)
class IndexPlan:
    """What all tasks have in common.

    folder: of the index.  generation: folder in it for the files, of a name that no other index has.  stats: of the
    sound descriptors.  cells: 0 for a flat index.  recall: that cells are to reach.
    """

    folder: str
    generation: str
    stats: DescriptorStats
    cells: int
    recall: float
    asking: Asking | None = None

    def normalised(self, rows: pa.Table) -> dict[str, Float32Array]:
        """The descriptors of some rows by modality, ready for distances."""
        return {
            "visual": normalise_visual(descriptor_rows(rows["visual"])),
            "audio": normalise_audio(descriptor_rows(rows["audio"]), self.stats),
        }

    def with_asking(self, rows: pa.Table) -> IndexPlan:
        """With the samples that ask."""
        return replace(self, asking=Asking(rows["sample_id"].to_numpy(), self.normalised(rows)))

    def cells_file(self, modality: str) -> str:
        """Where the cells of a modality lie before they are filled."""
        return f"{self.folder}/{self.generation}/{modality}-cells.faiss"


def cells_of(samples: int, settings: IndexSettings) -> int:
    """How many cells an index of so many samples has; 0: it is flat."""
    return 0 if samples <= settings.flat_rows else max(round(math.sqrt(samples)), 1)


def train(rows: pa.Table, plan: IndexPlan) -> pa.Table:
    """Make the cells of both modalities from some samples, and keep them in files. Returns nothing of interest."""
    rows = rows.sort_by("sample_id")
    for modality, descriptors in plan.normalised(rows).items():
        cells = min(plan.cells, len(descriptors))
        write_ivf(plan.cells_file(modality), train_ivf(descriptors, cells=cells))
    return pa.table({"modality": list(MODALITIES)})


def build_shard(rows: pa.Table, plan: IndexPlan) -> pa.Table:
    """Write the three files of one shard.  rows: of the collection, and `shard`, its number. Returns rows of BUILT."""
    rows = rows.sort_by("sample_id")
    ids, number = rows["sample_id"].to_numpy(), rows["shard"][0].as_py()
    normalised = plan.normalised(rows)
    stem = f"{plan.generation}/{{}}-{number:05}"
    made = []
    for modality, descriptors in normalised.items():
        cells = read_ivf(plan.cells_file(modality)) if plan.cells else None
        centroids = None if cells is None else centroids_of(cells)
        file = stem.format(modality) + ".faiss"
        shard = write_descriptors(
            plan.folder, file, modality=modality, number=number, descriptors=descriptors, cells=cells
        )
        assert plan.asking is not None  # the plan of tasks
        answers = ask(
            plan.asking.ids, plan.asking.descriptors[modality], ids=ids, descriptors=descriptors, centroids=centroids
        )
        made.append(asdict(shard) | {name: values.ravel() for name, values in vars(answers).items()})
    kept = rows.select(["sample_id", "uri", "time_s", "component_id"]).append_column(
        "audio", descriptor_column(normalised["audio"])
    )
    made.append(asdict(write_rows(plan.folder, stem.format(ROWS) + ".arrow", number=number, rows=kept)))
    return pa.Table.from_pylist(made, schema=BUILT)


def merge_findings(built: pa.Table, plan: IndexPlan) -> tuple[dict[str, tuple[float, ...]], dict[str, CellProbing]]:
    """What the samples that asked found in all shards: distances of their nearest, and the cells to search."""
    nearest, cells = {}, {}
    for modality in MODALITIES:
        answers = [_answers(row) for row in built.filter(pc.equal(built["modality"], modality)).to_pylist()]
        nearest[modality] = nearest_of(answers)
        if plan.cells:
            count = read_ivf(plan.cells_file(modality)).nlist
            cells[modality] = choose_probes(answers, cells=count, recall=plan.recall)
    return nearest, cells


def shards_of(built: pa.Table) -> tuple[Shard, ...]:
    """The files, in order of their names."""
    names = ("modality", "number", "file", "samples", "sha256")
    return tuple(Shard(**row) for row in built.select(names).sort_by("file").to_pylist())


def centroids_of(cells: faiss.IndexIVFFlat) -> Float32Array:
    """The middles of cells. Shape (c, d)."""
    centroids: Float32Array = cells.quantizer.reconstruct_n(0, cells.nlist)
    return centroids


def _answers(row: Mapping[str, Sequence[float]]) -> ShardAnswers:
    return ShardAnswers(
        np.array(row["nearest"], np.float32),
        np.array(row["distances"], np.float32).reshape(-1, NEAREST),
        np.array(row["ranks"], np.int32).reshape(-1, NEAREST),
    )
