"""The whole sound of a video as one mono waveform on the video's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from avlib.arrays import Float32Array, Float64Array
from avlib.errors import MediaError, ParameterError
from avlib.media.opening import open_media
from avlib.media.probe import MediaInfo
from avlib.media.reading import Damage, note_missing_end
from avlib.media.runs import JITTER_S, SoundFormat, SoundRun, place, sound_runs

GAP_S = 0.1
"""A hole in the sound longer than this is reported as damage."""


@dataclass(frozen=True)
class Sound:
    """Mono sound. Sample 0 lies at time 0, the container's start; zeros where the stream has no sound."""

    waveform: Float32Array
    """Shape (n,), in [-1, 1]."""
    sample_rate_hz: int
    spans_s: Float64Array
    """Shape (m, 2): [start, end) of the stretches that have sound, ascending, without overlap."""
    damage: str | None
    """None, or what is missing, in words."""


def decode_sound(path: Path, info: MediaInfo, *, sample_rate_hz: int) -> Sound:
    """Decode, mix to mono and resample the chosen sound stream.

    Every run of frames is placed by its presentation time stamps, so that late starts and gaps stay where
    they are. Raises MediaError when nothing at all can be decoded, ParameterError for a rate below 1.
    """
    if sample_rate_hz < 1:
        raise ParameterError("sample_rate_hz", sample_rate_hz, "at least 1")
    target = SoundFormat(sample_rate_hz, channels=1)
    damage = Damage()
    with open_media(path) as container:
        stream = sound_stream(path, container, info)
        runs = list(sound_runs(container, stream, info, damage, target=target))
        spans_s = _spans_s(runs)
        if not len(spans_s):
            raise MediaError(path, f"no sound in it can be decoded ({info.audio_codec})", error_class="undecodable")
        note_missing_end(stream, info, damage, last_s=float(spans_s[-1, 1]))
    _note_gaps(spans_s, damage)
    samples = round(float(spans_s[-1, 1]) * sample_rate_hz)
    waveform = place(runs, target=target, start_s=0.0, samples=samples)[0]
    return Sound(waveform, sample_rate_hz, spans_s, damage.sentence())


def sound_stream(path: Path, container: InputContainer, info: MediaInfo) -> AudioStream:
    """The sound stream that `probe` chose, ready to be decoded. Raises MediaError where there is none."""
    if info.audio_stream is None:
        raise MediaError(path, "it has no sound track", error_class="no_streams")
    stream = container.streams[info.audio_stream]
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        raise MediaError(path, "its sound is in a format that cannot be decoded", error_class="undecodable")
    return stream


def _spans_s(runs: Sequence[SoundRun]) -> Float64Array:
    spans: list[list[float]] = []
    for start_s, end_s in sorted((max(run.start_s, 0.0), run.end_s) for run in runs if run.end_s > 0):
        if spans and start_s <= spans[-1][1] + JITTER_S:
            spans[-1][1] = max(spans[-1][1], end_s)
        else:
            spans.append([start_s, end_s])
    return np.array(spans, np.float64).reshape(-1, 2)


def _note_gaps(spans_s: Float64Array, damage: Damage) -> None:
    gaps = [(end, start) for end, start in zip(spans_s[:-1, 1], spans_s[1:, 0], strict=True) if start - end > GAP_S]
    if gaps:
        more = f" and {len(gaps) - 3} more" if len(gaps) > 3 else ""
        damage.note("no sound at " + ", ".join(f"{a:.2f}-{b:.2f} s" for a, b in gaps[:3]) + more)
