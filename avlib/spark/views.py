"""Samples made short for agreement: each worker needs the descriptors of a sample's neighbors too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame

from avlib import tables
from avlib.agreement import Described, Views, draw_keys, fit_shortening
from avlib.columns import descriptor_column, descriptor_rows
from avlib.config import AgreementSettings
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.spark.descriptor_files import DescriptorFiles

VIEWS = pa.schema(
    [
        ("sample_id", pa.int64()),
        ("time_s", pa.float64()),
        ("visual", tables.DESCRIPTOR),
        ("audio", tables.DESCRIPTOR),
    ]
)
"""Rows of avlib.agreement.Views; those of sketches too."""


def short_views(
    samples: DataFrame, files: DescriptorFiles, stats: Sequence[DescriptorStats], settings: AgreementSettings
) -> DataFrame:
    """samples: as `sound_samples` gives them, with those of settings.audio.  stats: of each of these.

    files: where descriptors lie. Returns VIEWS, fitted to a random part of the samples.
    """
    names = ["sample_id", "time_s", "visual", *settings.audio]

    def described(rows: pa.Table | pa.RecordBatch) -> Described:
        return Described(
            rows["sample_id"].to_numpy(),
            rows["time_s"].to_numpy(),
            normalise_visual(descriptor_rows(rows["visual"])),
            tuple(
                normalise_audio(descriptor_rows(rows[name]), one)
                for name, one in zip(settings.audio, stats, strict=True)
            ),
        )

    # In the order of the ids, as in memory: sums of other orders would differ in their last bits.
    fitted = drawn(samples.select(*names), settings.fitted, seed=settings.seed).toArrow().sort_by("sample_id")
    shorten = fit_shortening(described(fitted), settings)

    def short(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            views = shorten(described(batch))
            columns = [batch["sample_id"], batch["time_s"], *map(descriptor_column, (views.visual, views.audio))]
            yield pa.RecordBatch.from_arrays(columns, schema=VIEWS)

    return files.map_in_arrow(samples, names, short, VIEWS)


def views_of(rows: pa.Table) -> Views:
    """VIEWS as arrays, in ascending order of id."""
    rows = rows.sort_by("sample_id")
    visual, audio = (descriptor_rows(rows[name]) for name in ("visual", "audio"))
    return Views(rows["sample_id"].to_numpy(), rows["time_s"].to_numpy(), visual, audio)


def drawn(rows: DataFrame, count: int, *, seed: int, by: str = "sample_id") -> DataFrame:
    """The rows that `avlib.agreement.drawn` draws, by a column of ids, each once; in any order."""

    def with_keys(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            ids = batch[by]
            yield pa.RecordBatch.from_arrays([ids, pa.array(draw_keys(ids.to_numpy(), seed=seed))], names=[by, "key"])

    keys = rows.select(by).mapInArrow(with_keys, f"{by} bigint, key bigint").orderBy("key", by).limit(count)
    return rows.join(keys.drop("key"), by)
