"""Which frames of a video are kept, before any picture is decoded."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from avlib.config import load_settings
from avlib.description import _kept_frames, describe_video
from avlib.descriptors import load_visual_descriptor
from avlib.media import Sound


def test_the_median_is_over_all_frames_before_the_stride() -> None:
    rate, seconds = 16000, 8
    random = np.random.default_rng(0)
    # Every fifth frame is loud: a median over the stride's frames alone would drop half of them.
    level = np.where(np.arange(seconds * 25) % 5 == 0, 0.5, random.uniform(0.01, 0.1, seconds * 25))
    waveform = (np.repeat(level, rate // 25) * random.choice([-1, 1], seconds * rate)).astype(np.float32)
    waveform = np.roll(waveform, -rate // 50)  # a window is centred on its frame's time
    sound = Sound(waveform, rate, np.array([[0.0, seconds]]), None)
    settings = load_settings(assignments=["describe.frame_stride=5"]).describe
    kept = _kept_frames(sound, settings=settings)
    np.testing.assert_array_equal(kept.indexes, np.arange(0, seconds * 25, 5))
    np.testing.assert_allclose(kept.times_s, kept.indexes / 25)
    every = _kept_frames(sound, settings=load_settings().describe)
    assert len(every.indexes) == seconds * 25 // 2
    assert set(kept.indexes) <= set(every.indexes)


def test_frames_without_sound_are_not_in_the_median() -> None:
    rate = 16000
    waveform = np.concatenate([np.zeros(4 * rate), np.linspace(0.1, 0.9, 2 * rate)]).astype(np.float32)
    sound = Sound(waveform, rate, np.array([[4.0, 6.0]]), None)
    kept = _kept_frames(sound, settings=load_settings().describe)
    assert len(kept.indexes) == 25
    assert kept.times_s.min() == pytest.approx(5.0, abs=0.05)


@pytest.mark.parametrize("kind", ["pipe", "folder", "nothing", "empty"])
def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "video.mp4"
    match kind:
        case "pipe":
            os.mkfifo(path)  # opening it would wait for ever
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
    visual = load_visual_descriptor("hog_color", None)
    batches = describe_video(path, settings=load_settings().describe, visual=visual)
    with pytest.raises(StopIteration) as end:
        next(batches)
    description = end.value.value
    expected = {"pipe": "not_media", "folder": "is_directory", "nothing": "not_found", "empty": "empty_file"}
    assert description.error_class == expected[kind]
    assert description.status == ("skipped" if kind == "folder" else "failed")
    assert description.samples == 0 and description.error
