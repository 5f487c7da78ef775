"""What a Python worker of describe holds while it works, and how many pictures a network sees at a time."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_files import write_flash_and_click
from pyarrow import parquet

from avlib import tables
from avlib.arrays import Float32Array, UInt8Array
from avlib.config import load_settings
from avlib.descriptors import PICTURES_TOGETHER
from avlib.models import StoredModel
from avlib.spark import describing
from avlib.spark.describing import PENDING, Worker
from avlib.spark.sample_files import SampleFiles


class Mean:
    """A network of one number, the brightness of a picture; counts how many it sees at a time."""

    name, dimension, model_hash = "mean", 1, "0" * 64

    def __init__(self) -> None:
        self.seen: list[int] = []

    def describe(self, pictures: UInt8Array) -> Float32Array:
        """As VisualDescriptor."""
        self.seen.append(len(pictures))
        return pictures.mean(axis=(1, 2, 3), dtype=np.float32)[:, None]


@pytest.mark.parametrize("picture_batch", [5, 32, 50])
def test_a_network_sees_whole_batches_whatever_videos_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture_batch: int
) -> None:
    mean = Mean()
    monkeypatch.setattr(describing, "_visual", lambda *_: mean)
    folder = tmp_path / "rows"
    folder.mkdir()
    settings = load_settings(assignments=["describe.frame_stride=1", f"describe.picture_batch={picture_batch}"])
    rows = []
    for number, duration_s in enumerate((3.0, 1.0, 4.0)):
        place = tmp_path / f"{number}.mp4"
        flashes_s = np.arange(0, duration_s, 0.12).tolist()
        write_flash_and_click(place, video_codec="mpeg4", audio_codec="aac", times_s=flashes_s, duration_s=duration_s)
        rows.append({"video_id": number, "uri": str(place), "attempt": 1, "samples_before": 0})
    worker = Worker(settings, StoredModel("mean", None, mean.model_hash, 224), str(tmp_path), str(folder))
    out = [row for batch in worker(iter([pa.RecordBatch.from_pylist(rows, PENDING)])) for row in batch.to_pylist()]
    descriptions = [row for row in out if row["kind"] == "description"]
    files = [row["text"] for row in out if row["kind"] == "samples"]
    samples = pa.concat_tables([parquet.read_table(file) for file in files]).to_pylist()
    assert [row["status"] for row in descriptions] == ["ok"] * 3
    assert len(samples) == sum(row["samples"] for row in descriptions) > 2 * PICTURES_TOGETHER
    assert {pictures % PICTURES_TOGETHER for pictures in mean.seen} == {0}
    assert sum(mean.seen) - len(samples) < PICTURES_TOGETHER  # only the last ones are not whole
    # Each picture's number is its own sample's: of a loud frame, which is a flash, or beside one and dark.
    ids = [row["sample_id"] for row in samples]
    assert ids == sorted(set(ids))
    for row in samples:
        flash = round(row["time_s"] * 25) % 3 == 0
        assert (row["visual"][0] > 150) == flash, row["time_s"]


@given(st.lists(st.integers(1, 70), max_size=20))
def test_what_waits_comes_out_in_order_and_once(counts: list[int]) -> None:
    waiting, taken, numbers = describing._Waiting(), [], iter(range(sum(counts)))
    for count in counts:
        indexes = np.array([next(numbers) for _ in range(count)])
        frames = describing.FrameBatch(*[indexes] * 6)
        waiting.add(describing._FramesOf({}, frames))
        if waiting.pictures >= PICTURES_TOGETHER:
            whole = waiting.take()
            assert sum(len(found.frames.pictures) for found in whole) % PICTURES_TOGETHER == 0
            assert waiting.pictures < PICTURES_TOGETHER
            taken += whole
    taken += waiting.take_all()
    assert waiting.pictures == 0 and waiting.take_all() == []
    assert [index for found in taken for index in found.frames.rms.tolist()] == list(range(sum(counts)))


def test_rows_that_wait_for_their_file_hold_no_memory_of_the_network(tmp_path: Path) -> None:
    """Its output, kept among buffers that come and go, would keep these from finding the same place again."""
    schema = tables.AUDIO_LEARNED.schema
    files = SampleFiles(str(tmp_path), tables.AUDIO_LEARNED)
    values = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    held = weakref.ref(values)
    expected = values.tolist()
    columns = {
        "sample_id": pa.array(np.arange(40)),
        "attempt": pa.array([1] * 40, pa.int32()),
        "model": pa.array(["m"] * 40),
        "audio_learned": describing.descriptor_column(values),
    }
    assert files.add(pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)) == []
    del values, columns
    assert held() is None
    (place,) = files.finish()
    assert parquet.read_table(place)["audio_learned"].to_pylist() == expected
    assert files.finish() == []


def test_a_file_is_written_in_groups_of_rows_and_closed_when_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avlib.spark.sample_files._FILE_ROWS", 4096)
    schema = tables.AUDIO_LEARNED.schema
    files, names = SampleFiles(str(tmp_path), tables.AUDIO_LEARNED), []
    for first in range(0, 5000, 100):
        columns = {
            "sample_id": pa.array(np.arange(first, first + 100)),
            "attempt": pa.array([1] * 100, pa.int32()),
            "model": pa.array(["m"] * 100),
            "audio_learned": describing.descriptor_column(np.full((100, 2), first, np.float32)),
        }
        names += files.add(pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema))
    assert len(names) == 1 and parquet.read_metadata(names[0]).num_rows == 4200
    names += files.finish()
    footers = [parquet.read_metadata(name) for name in names]
    groups = [[footer.row_group(i).num_rows for i in range(footer.num_row_groups)] for footer in footers]
    assert groups == [[600] * 7, [600, 200]]
    found = pa.concat_tables(map(parquet.read_table, names))
    assert found["sample_id"].to_pylist() == list(range(5000))
    assert [values[0] for values in found["audio_learned"].to_pylist()] == [n // 100 * 100 for n in range(5000)]
    assert {str(path) for path in tmp_path.iterdir()} == set(names)


def test_a_model_is_loaded_once_for_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, str]] = []

    def load(model: StoredModel, warehouse: str, *, device: str) -> Mean:
        loaded.append((model.name, device))
        return Mean()

    monkeypatch.setattr(StoredModel, "load", load)
    first, second = (StoredModel(name, None, "0" * 64, 224) for name in ("first", "second"))
    for model, device in [(first, "cuda:0"), (first, "cuda:1"), (first, "cuda:0"), (second, "cuda:0")]:
        assert describing._visual(model, "warehouse", device) is describing._visual(model, "warehouse", device)
    assert loaded == [("first", "cuda:0"), ("first", "cuda:1"), ("second", "cuda:0")]
