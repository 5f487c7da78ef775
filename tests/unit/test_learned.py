"""What a Python worker of the pass over the sound makes of videos that cannot be read, and of avlib's own failures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from media_files import write_flash_and_click
from pyarrow import parquet

from avlib.arrays import Float32Array, Float64Array
from avlib.config import load_settings
from avlib.spark import learned

RATE_HZ = 16_000


class Loudest:
    """A network of one number; it fails on sound that is silent."""

    margin_s = 0.2

    def describe(self, waveform: Float32Array, *, times_s: Float64Array) -> Float32Array:
        """As SoundDescriptor."""
        if not waveform.any():
            raise RuntimeError("CUDA error: an illegal memory access")
        return np.full((len(times_s), 1), np.abs(waveform).max(), np.float32)


def test_a_video_costs_its_own_samples_whoever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "_descriptor", lambda *_: Loudest())
    sounding, silent, text = (tmp_path / name for name in ("sounding.mp4", "silent.mp4", "text.mp4"))
    for path, times_s in ((sounding, (0.5, 1.5)), (silent, ())):
        write_flash_and_click(path, video_codec="mpeg4", audio_codec="aac", times_s=times_s, duration_s=2.0)
    text.write_text("no video")
    samples = [{"time_s": 0.5, "sample_id": 1}, {"time_s": 1.5, "sample_id": 2}]
    tasks = [
        {"video_id": number, "uri": str(path), "attempt": 1, "samples": samples}
        for number, path in enumerate((silent, text, sounding))
    ]
    model = SimpleNamespace(settings=SimpleNamespace(track=SimpleNamespace(sr=RATE_HZ)), model_hash="h")
    worker = learned._Worker(load_settings(), model, str(tmp_path), str(tmp_path))  # type: ignore[arg-type]
    batches = worker(iter([pa.RecordBatch.from_pylist(tasks, learned._TASKS)]))
    done = [row for batch in batches for row in batch.to_pylist()]
    problems = {Path(row["uri"]).name: (row["internal"], row["problem"]) for row in done if row["problem"]}
    assert set(problems) == {"silent.mp4", "text.mp4"}
    assert problems["silent.mp4"] == (True, "avlib failed on it: RuntimeError: CUDA error: an illegal memory access")
    assert problems["text.mp4"][0] is False
    (file,) = (row["file"] for row in done if row["file"])
    assert parquet.read_table(file)["sample_id"].to_pylist() == [1, 2]
