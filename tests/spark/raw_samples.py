"""Samples of known structure, as the Spark stages and as the pure functions take them."""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from avlib.agreement import Described
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.filtering import SampleArrays
from avlib.identity import sample_ids

DIMENSIONS = (12, 7)


class RawSamples:
    """Samples around a few centres in each modality, some of them exact duplicates, from several videos."""

    def __init__(self, *, videos: int = 6, frames: int = 25, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.ids = np.concatenate([sample_ids(video, np.arange(frames) * 3) for video in range(videos)])
        count = len(self.ids)
        self.times_s = (self.ids & 0xFFFFFF) / 25
        centres = [random.normal(size=(4, dimension)) * 2 for dimension in DIMENSIONS]
        self.visual, self.audio = (
            (centre[random.integers(0, 4, count)] + random.normal(size=(count, dimension))).astype(np.float32)
            for centre, dimension in zip(centres, DIMENSIONS, strict=True)
        )
        self.visual[5], self.audio[5] = self.visual[2], self.audio[2]
        self.visual[count // 2], self.audio[count // 2] = self.visual[2], self.audio[2]
        self.visual[7] = 0
        self.context = (self.audio[:, ::-1] ** 2 + random.normal(size=(count, DIMENSIONS[1]))).astype(np.float32)
        self.stats, self.context_stats = (
            DescriptorStats(raw.mean(axis=0, dtype=np.float64), raw.std(axis=0, dtype=np.float64), count)
            for raw in (self.audio, self.context)
        )

    def normalised(self) -> SampleArrays:
        """As the pure functions take them."""
        audio = normalise_audio(self.audio, self.stats)
        return SampleArrays(self.ids, normalise_visual(self.visual), audio, self.times_s)

    def described(self) -> Described:
        """As agreement takes them."""
        sounds = normalise_audio(self.audio, self.stats), normalise_audio(self.context, self.context_stats)
        return Described(self.ids, self.times_s, normalise_visual(self.visual), sounds)

    def frame(self, spark: SparkSession) -> DataFrame:
        """As the Spark stages take them."""
        columns = (self.visual, self.audio, self.context)
        rows = [
            (int(sample_id), int(sample_id >> 24), float(time_s), *(row.tolist() for row in descriptors))
            for sample_id, time_s, *descriptors in zip(self.ids, self.times_s, *columns, strict=True)
        ]
        schema = "sample_id bigint, video_id bigint, time_s double, " + ", ".join(
            f"{name} array<float>" for name in ("visual", "audio", "audio_context")
        )
        return spark.createDataFrame(rows, schema)
