"""Samples made short for agreement: each worker needs the descriptors of a sample's neighbors too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.agreement import Views, draw_keys, fit_pictures, fit_sounds
from avlib.columns import descriptor_column, descriptor_rows
from avlib.config import AgreementSettings
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual

VIEWS = pa.schema(
    [
        ("sample_id", pa.int64()),
        ("time_s", pa.float64()),
        ("visual", tables.DESCRIPTOR),
        ("audio", tables.DESCRIPTOR),
    ]
)
"""Rows of avlib.agreement.Views."""


def short_views(samples: DataFrame, stats: DescriptorStats, settings: AgreementSettings) -> DataFrame:
    """samples: sample_id, time_s, visual, audio, raw. Returns VIEWS, fitted to a random part of them."""
    # In the order of the ids, as in memory: sums of other orders would differ in their last bits.
    fitted = drawn(samples, settings.fitted, seed=settings.seed).toArrow().sort_by("sample_id")
    pictures = fit_pictures(normalise_visual(descriptor_rows(fitted["visual"])), dimensions=settings.picture_dimensions)
    heard = normalise_audio(descriptor_rows(fitted["audio"]), stats)
    sounds = fit_sounds(heard, dimensions=settings.sound_dimensions, whiten=settings.whiten)

    def shorten(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            visual = pictures(normalise_visual(descriptor_rows(batch["visual"])))
            audio = sounds(normalise_audio(descriptor_rows(batch["audio"]), stats))
            columns = [batch["sample_id"], batch["time_s"], descriptor_column(visual), descriptor_column(audio)]
            yield pa.RecordBatch.from_arrays(columns, schema=VIEWS)

    return samples.select("sample_id", "time_s", "visual", "audio").mapInArrow(shorten, from_arrow_schema(VIEWS))


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
