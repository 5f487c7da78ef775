"""What describe's workers do: videos, or slices of them, in; files of samples and what came of each video out.

Media is decoded in a process of its own beside each Python worker; pictures of several videos go through the network
together. A video that fails costs its own row, never the task.
"""

from __future__ import annotations

import gc
import json
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from avlib import tables
from avlib.arrays import Float32Array, UInt8Array
from avlib.columns import descriptor_column
from avlib.config import Settings
from avlib.description import (
    Description,
    FrameBatch,
    LongVideo,
    Problem,
    Slice,
    SliceOutcome,
    describe_slice,
    describe_video,
)
from avlib.descriptors.visual import PICTURES_TOGETHER, VisualDescriptor
from avlib.errors import MediaError, ParameterError
from avlib.identity import sample_ids
from avlib.media import IsolatedVideo
from avlib.models import StoredModel
from avlib.sources import kept_sources
from avlib.spark.resources import task_device
from avlib.spark.sample_files import SampleFiles

ROWS = pa.schema(
    [pa.field("kind", pa.string(), nullable=False), pa.field("text", pa.string())]
    + [field.with_nullable(True) for field in tables.DESCRIPTIONS.schema]
)
"""What comes out. `kind` says what a row is: `samples`, a file of them; a `description`; a `long` video, whose
description waits for its slices; a `slice`, to be described by itself; `sliced`, what came of one. `text` is the
file's place, or JSON."""

PENDING = pa.schema(
    [
        pa.field("video_id", pa.int64()),
        pa.field("uri", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("duration_s", pa.float64()),  # as the manifest says, or an earlier attempt; null: unknown
        pa.field("input_hash", pa.string()),
        pa.field("described_with", pa.string()),
        pa.field("attempt", pa.int32()),
        pa.field("samples_before", pa.int64()),  # of this same file, from an earlier attempt
    ]
)
"""A video to be described."""

SLICES = PENDING.append(pa.field("text", pa.string()))
"""A slice of one."""


@dataclass(frozen=True)
class _FramesOf:
    """Frames of a video, or of a slice of it."""

    task: dict[str, Any]
    frames: FrameBatch


class _Waiting:
    """Frames of several videos that wait for the network.  pictures: how many."""

    def __init__(self) -> None:
        self._found: deque[_FramesOf] = deque()
        self.pictures = 0

    def add(self, found: _FramesOf) -> None:
        """Let more wait."""
        self._found.append(found)
        self.pictures += len(found.frames.indexes)

    def take(self) -> list[_FramesOf]:
        """The first, a multiple of PICTURES_TOGETHER: so the network seldom works for less."""
        left = self.pictures % PICTURES_TOGETHER
        taken = []
        while self.pictures > left:
            found = self._found.popleft()
            pictures = len(found.frames.indexes)
            most = self.pictures - left
            if pictures > most:
                self._found.appendleft(_FramesOf(found.task, found.frames.part(most, pictures)))
                found, pictures = _FramesOf(found.task, found.frames.part(0, most)), most
            taken.append(found)
            self.pictures -= pictures
        return taken

    def take_all(self) -> list[_FramesOf]:
        """What there is."""
        taken, self._found, self.pictures = list(self._found), deque(), 0
        return taken


class Worker:
    """Describes a partition of videos, or slices: rows of PENDING or SLICES in, ROWS out, samples into a folder."""

    def __init__(self, settings: Settings, model: StoredModel, warehouse: str, folder: str) -> None:
        self._settings, self._fetch, self._decode = settings.describe, settings.fetch, settings.decode
        self._model, self._warehouse, self._folder = model, warehouse, folder

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """mapInArrow's function."""
        import avlib.descriptors.spectra  # noqa: F401, where it cannot be compiled the task fails, not each of its videos

        visual = _visual(self._model, self._warehouse, task_device(self._settings.device))
        tasks = (task for batch in batches for task in batch.to_pylist())
        files = SampleFiles(self._folder)
        waiting = _Waiting()
        for found in (found for task in tasks for found in self._read(task)):
            if isinstance(found, pa.RecordBatch):
                yield found
                continue
            waiting.add(found)
            if waiting.pictures >= max(self._settings.picture_batch, PICTURES_TOGETHER):
                for samples in _described(waiting.take(), visual):
                    yield from map(_file_row, files.add(samples))
        for samples in _described(waiting.take_all(), visual):
            yield from map(_file_row, files.add(samples))
        yield from map(_file_row, files.finish())

    def _read(self, task: dict[str, Any]) -> Iterator[_FramesOf | pa.RecordBatch]:
        samples = 0
        try:
            with kept_sources(self._fetch, self._decode).open(task["uri"]) as video:
                steps = self._steps(video, task)
                while True:
                    try:
                        frames = next(steps)
                        samples += len(frames.indexes)
                        yield _FramesOf(task, frames)
                    except StopIteration as end:
                        yield from _outcome_rows(task, end.value)
                        return
        except MediaError as error:
            problem = Problem.of(error)
        except Exception as error:  # a bug or a lack of memory: name it, and go on with the next video
            problem = Problem("internal", f"avlib failed on it: {type(error).__name__}: {error}")
        if "text" in task:
            one = self._slice(task)
            yield from _outcome_rows(task, one.outcome(samples=samples, until_s=one.start_s, problem=problem))
        else:  # samples without a description that counts them do not count
            yield from _outcome_rows(task, Description().ended("failed", problem))

    def _slice(self, task: dict[str, Any]) -> Slice:
        return Slice.from_json(task["text"], frame_rate_hz=self._settings.frame_rate_hz)

    def _steps(
        self, video: IsolatedVideo, task: dict[str, Any]
    ) -> Generator[FrameBatch, None, Description | LongVideo | SliceOutcome]:
        if "text" not in task:
            return (yield from describe_video(video, self._settings))
        return (yield from describe_slice(video, self._slice(task), self._settings))


def finished_row(video: dict[str, Any], long_json: str, outcomes: Iterable[str]) -> pa.RecordBatch:
    """The description of a long video, from its `long` row and all its `sliced` ones. As a row of ROWS."""
    given = json.loads(long_json)
    sound = None if given["sound"] is None else Problem(**given["sound"])
    slices = [json.loads(text) for text in outcomes]
    parts = [SliceOutcome(**one | {"problem": one["problem"] and Problem(**one["problem"])}) for one in slices]
    return _description_row(video, Description(**given["description"]).finished(sound, parts))


def _visual(model: StoredModel, warehouse: str, device: str) -> VisualDescriptor:
    """The model, loaded once per Python worker and device: its tasks may be given one GPU after another."""
    loaded = _loaded(model, warehouse)
    if device not in loaded:
        loaded[device] = model.load(warehouse, device=device)
        gc.collect()
        gc.freeze()  # Spark's daemon collects garbage after every task: half a second, looking through all of torch
    return loaded[device]


@lru_cache(maxsize=1)
def _loaded(model: StoredModel, warehouse: str) -> dict[str, VisualDescriptor]:
    """A model by device, as far as this process has loaded it. Another model takes its place."""
    return {}


def _described(found: list[_FramesOf], visual: VisualDescriptor) -> Iterator[pa.RecordBatch]:
    """Rows of `samples`, their pictures described together."""
    if not found:
        return
    described = _describe_pictures([one.frames.pictures for one in found], visual)
    if not np.isfinite(described).all():
        raise ParameterError("descriptors", "NaN or inf", "finite numbers: check the weights of describe.visual_model")
    first = 0
    for one in found:
        rows = len(one.frames.indexes)
        yield _sample_rows(one.task, one.frames, descriptor_column(described[first : first + rows]))
        first += rows


def _describe_pictures(batches: list[UInt8Array], visual: VisualDescriptor) -> Float32Array:
    """All pictures of some batches, together. Shape (n, d)."""
    pictures = np.concatenate(batches) if len(batches) > 1 else batches[0]
    missing = -len(pictures) % PICTURES_TOGETHER
    if not missing:
        return visual.describe(pictures)
    padded = np.concatenate([pictures, np.zeros((missing, *pictures.shape[1:]), np.uint8)])
    return visual.describe(padded)[: len(pictures)]


def _sample_rows(task: dict[str, Any], frames: FrameBatch, visual: pa.Array) -> pa.RecordBatch:
    rows = len(frames.indexes)
    columns = {
        "sample_id": pa.array(sample_ids(task["video_id"], frames.indexes)),
        "attempt": pa.array([task["attempt"]] * rows, pa.int32()),
        "time_s": pa.array(frames.times_s),
        "rms": pa.array(frames.rms),
        "visual": visual,
        "audio_mfcc65": descriptor_column(frames.audio_mfcc65),
        "audio_context": descriptor_column(frames.audio_context),
    }
    schema = tables.SAMPLES.schema
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _outcome_rows(task: dict[str, Any], outcome: Description | LongVideo | SliceOutcome) -> Iterator[pa.RecordBatch]:
    match outcome:
        case Description():
            yield _description_row(task, outcome)
        case LongVideo():
            said = {"description": asdict(outcome.description), "sound": outcome.sound and asdict(outcome.sound)}
            yield _json_row("long", task, json.dumps(said))
            for one in outcome.slices:
                yield _json_row("slice", task, one.to_json())
        case SliceOutcome():
            yield _json_row("sliced", task, json.dumps(asdict(outcome)))


def _description_row(task: dict[str, Any], description: Description) -> pa.RecordBatch:
    return _row("description", task | asdict(description))


def _json_row(kind: str, task: dict[str, Any], text: str) -> pa.RecordBatch:
    return _row(kind, {"video_id": task["video_id"], "text": text})


def _file_row(place: str) -> pa.RecordBatch:
    return _row("samples", {"text": place})


def _row(kind: str, values: dict[str, Any]) -> pa.RecordBatch:
    """One of ROWS; columns of other kinds are null."""
    row = {name: values.get(name) for name in ROWS.names} | {"kind": kind}
    return pa.RecordBatch.from_pylist([row], schema=ROWS)
