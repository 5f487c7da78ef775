"""Which frames of a video are kept, before any picture is decoded."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avlib.config import load_settings
from avlib.description import Description, LongVideo, Slice, SliceOutcome, describe_slice, describe_video, loud
from avlib.description.outcome import Problem
from avlib.media import Decoder


def test_the_median_is_over_all_frames_before_the_stride() -> None:
    random = np.random.default_rng(0)
    # Every fifth frame is loud: a median over the stride's frames alone would drop half of them.
    rms = np.where(np.arange(200) % 5 == 0, 0.5, random.uniform(0.01, 0.1, 200)).astype(np.float32)
    kept = loud(rms, settings=load_settings(assignments=["describe.frame_stride=5"]).describe)
    np.testing.assert_array_equal(kept.indexes, np.arange(0, 200, 5))
    np.testing.assert_allclose(kept.times_s, kept.indexes / 25)
    every = loud(rms, settings=load_settings().describe)
    assert len(every.indexes) == 100
    assert set(kept.indexes) <= set(every.indexes)


def test_frames_without_sound_are_not_in_the_median() -> None:
    rms = np.concatenate([np.full(100, np.nan), np.linspace(0.1, 0.9, 50)]).astype(np.float32)
    kept = loud(rms, settings=load_settings().describe)
    assert kept.indexes.tolist() == list(range(125, 150))


@pytest.mark.parametrize("kind", ["pipe", "folder", "nothing", "empty"])
def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path, decoder: Decoder, kind: str) -> None:
    path = tmp_path / "video.mp4"
    match kind:
        case "pipe":
            os.mkfifo(path)  # opening it would wait for ever
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
    batches = describe_video(decoder.open(path), load_settings().describe)
    with pytest.raises(StopIteration) as end:
        next(batches)
    description = end.value.value
    expected = {"pipe": "not_media", "folder": "is_directory", "nothing": "not_found", "empty": "empty_file"}
    assert description.error_class == expected[kind]
    assert description.status == ("skipped" if kind == "folder" else "failed")
    assert description.samples == 0 and description.error


def run(steps):
    """All batches, and what came of it."""
    batches = []
    while True:
        try:
            batches.append(next(steps))
        except StopIteration as end:
            return batches, end.value


def joined(batches, name: str) -> np.ndarray:
    return np.concatenate([getattr(batch, name) for batch in batches])


@pytest.mark.parametrize("name", ["v001", "v018", "v030"])
def test_slices_give_the_samples_of_the_whole(shared_data: Path, decoder: Decoder, name: str) -> None:
    path = next((shared_data / "collection" / "videos").glob(f"{name}.*"))
    whole = load_settings(assignments=["describe.frame_stride=5"]).describe
    cut = load_settings(assignments=["describe.frame_stride=5", "describe.slice_s=10"]).describe
    expected, description = run(describe_video(decoder.open(path), whole))
    nothing, long = run(describe_video(decoder.open(path), cut))
    assert isinstance(long, LongVideo) and not nothing and len(long.slices) > 1
    copies = [Slice.from_json(one.to_json(), frame_rate_hz=25.0) for one in long.slices]
    parts = [run(describe_slice(decoder.open(path), one, cut)) for one in copies]
    batches = [batch for found, _ in parts for batch in found]
    for exact in ("indexes", "times_s", "rms", "pictures"):
        np.testing.assert_array_equal(joined(batches, exact), joined(expected, exact))
    # Decoders of noise-like sound make other noise after a seek.
    off = np.abs(joined(batches, "audio") - joined(expected, "audio"))
    assert np.median(off) < 0.05 and off.max() < 30
    finished = long.description.finished(long.sound, [outcome for _, outcome in parts])
    assert finished.covered_s == pytest.approx(description.covered_s, abs=0.05)
    assert replaced(finished) == replaced(description)


def replaced(description: Description) -> Description:
    return replace(description, covered_s=None)


def test_what_is_missing_of_slices_adds_up() -> None:
    fine, none = SliceOutcome(5, 10.0), SliceOutcome(0, 0.0, Problem("stalled", "no progress for 9 s"))
    partial = SliceOutcome(3, 7.0, Problem("damaged", "1 damaged packet at 3.0 s"))
    ok = Description().finished(None, [fine, fine])
    assert (ok.status, ok.visual_status, ok.samples, ok.covered_s, ok.error) == ("ok", "ok", 10, 20.0, None)
    some = Description().finished(Problem("damaged", "no sound at 1-2 s"), [fine, partial, none])
    assert (some.status, some.audio_status, some.visual_status, some.samples) == ("partial", "partial", "partial", 8)
    assert some.error_class == "stalled"
    assert some.error == "no sound at 1-2 s; 1 damaged packet at 3.0 s; no progress for 9 s"
    lost = Description().finished(None, [none, none])
    assert (lost.status, lost.audio_status, lost.visual_status, lost.samples) == ("failed", "ok", "failed", 0)
