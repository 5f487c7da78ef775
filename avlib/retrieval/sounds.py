"""The sound of a suggestion as it is handed out: cut, faded at the cuts, of even loudness."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
from av.audio.frame import AudioFrame
from av.error import BlockingIOError as NotYet
from av.error import EOFError as AtEnd
from av.filter.graph import Graph

from avlib.arrays import Float32Array
from avlib.config import SuggestSettings
from avlib.media import IsolatedVideo, MediaInfo
from avlib.retrieval import events

PEAK_DBTP = -1.0
"""No sound is made louder than its true peak allows (EBU R128)."""

_LEAST_STEPS = 8  # tenths of a second; BS.1770 measures blocks of four
_SILENT_LUFS = -69.9  # its gate; what lies below has no loudness


@dataclass(frozen=True, eq=False)
class Sound:
    """waveform: shape (n, 1 or 2), float32 in [-1, 1].  start_s: where it begins in its video."""

    waveform: Float32Array
    sample_rate_hz: int
    start_s: float

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.waveform) / self.sample_rate_hz

    def wav(self) -> bytes:
        """As a WAV file, 16 bits."""
        file = io.BytesIO()
        soundfile.write(file, self.waveform, self.sample_rate_hz, format="WAV", subtype="PCM_16")
        return file.getvalue()

    def outline(self, points: int) -> list[float]:
        """The largest magnitude in each of so many equal stretches: a waveform to look at."""
        loudest = np.abs(self.waveform).max(axis=1, initial=0)
        parts = np.array_split(loudest, points)
        return [round(float(part.max(initial=0)), 3) for part in parts]


def cut(
    video: IsolatedVideo,
    time_s: float,
    *,
    duration_s: float | None,
    settings: SuggestSettings,
    start_s: float | None,
    event: tuple[float, float] | None = None,
) -> Sound:
    """The sound around a time of a video, ready to be handed out.

    duration_s: centred on the time, shifted at the video's ends; None: as long as the event there goes on, within
    settings.shortest_s and longest_s. A shorter video gives all it has.  start_s: where to begin instead, with a
    duration.  event: begin and end of the event, where they are known. Raises MediaError where there is no sound, or
    the video cannot be read.
    """
    info = video.probe()
    if duration_s is None:
        begin_s, end_s = event or event_around(video, info, time_s, settings)
        start_s, duration_s = _within(begin_s, end_s, time_s, settings)
    elif start_s is None:
        start_s = max(time_s - duration_s / 2, 0.0)
    waveform, sample_rate_hz, start_s = video.cut_sound(info, start_s=start_s, duration_s=duration_s)
    levelled = at_loudness(waveform, sample_rate_hz=sample_rate_hz, loudness_lufs=settings.loudness_lufs)
    return Sound(faded(levelled, round(settings.fade_s * sample_rate_hz)), sample_rate_hz, start_s)


def event_around(
    video: IsolatedVideo, info: MediaInfo, time_s: float, settings: SuggestSettings
) -> tuple[float, float]:
    """Begin and end, in seconds, of the sound event around a time of a video (see avlib.retrieval.events).

    One that reaches farther to a side than settings.longest_s and a little is seen so far. Raises as `cut`.
    """
    reach_s = settings.longest_s + events.REACH_S
    from_s = max(time_s - reach_s, 0.0)
    until_s = min(time_s + reach_s, max(info.duration_s or np.inf, time_s + events.REACH_S))
    heard = video.sound_between(info, sample_rate_hz=events.RATE_HZ, start_s=from_s, end_s=until_s)
    begin_s, end_s = events.event_around(heard, time_s=time_s - from_s)
    return begin_s + from_s, end_s + from_s


def _within(begin_s: float, end_s: float, time_s: float, settings: SuggestSettings) -> tuple[float, float]:
    """An event as start and duration, made longer or shorter around the time where it has to be."""
    duration_s = min(max(end_s - begin_s, settings.shortest_s), settings.longest_s)
    if duration_s > end_s - begin_s:
        begin_s = (begin_s + end_s - duration_s) / 2
    latest_s = end_s - duration_s
    if latest_s > begin_s:
        begin_s = min(max(time_s - duration_s / 2, begin_s), latest_s)
    return max(begin_s, 0.0), duration_s


def faded(waveform: Float32Array, samples: int) -> Float32Array:
    """With a raised-cosine fade of so many samples at both ends, at most half the sound each. Shape (n, channels)."""
    samples = min(samples, len(waveform) // 2)
    if samples == 0:
        return waveform
    rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / samples)).astype(np.float32)[:, None]
    shaped = waveform.copy()
    shaped[:samples] *= rise
    shaped[-samples:] *= rise[::-1]
    return shaped


def at_loudness(waveform: Float32Array, *, sample_rate_hz: int, loudness_lufs: float) -> Float32Array:
    """Made louder or softer to an integrated loudness, as far as the true peak stays below PEAK_DBTP.

    waveform: shape (n, channels). Silence stays silence.
    """
    measured_lufs, peak = loudness(waveform, sample_rate_hz=sample_rate_hz)
    if measured_lufs < _SILENT_LUFS or peak <= 0:
        return waveform
    gain = min(10 ** ((loudness_lufs - measured_lufs) / 20), 10 ** (PEAK_DBTP / 20) / peak)
    return (waveform * np.float32(gain)).astype(np.float32)


def loudness(waveform: Float32Array, *, sample_rate_hz: int) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak (1 is full scale), by EBU R128, as FFmpeg's ebur128 measures them.

    waveform: shape (n, 1 or 2). A sound shorter than the 0.4 s that loudness is defined over, and the last tenth of a
    second of any, is measured as if the sound began anew at its end.
    """
    if not len(waveform):
        return -70.0, 0.0
    step = -(-sample_rate_hz // 10)  # the filter reports after every tenth of a second that is whole
    steps = max(-(-len(waveform) // step), _LEAST_STEPS)
    channels = np.ascontiguousarray(waveform[np.arange(steps * step) % len(waveform)].T)
    layout = "mono" if len(channels) == 1 else "stereo"
    graph = Graph()
    graph.threads = 1
    source = graph.add_abuffer(sample_rate=sample_rate_hz, format="fltp", layout=layout)
    graph.link_nodes(source, graph.add("ebur128", "metadata=1:peak=true"), graph.add("abuffersink")).configure()
    frame = AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
    frame.sample_rate = sample_rate_hz
    graph.push(frame)
    graph.push(None)
    said: dict[str, str] = {}
    try:
        while True:
            said = dict(graph.pull().metadata) or said
    except (AtEnd, NotYet):
        true_peak = float(said.get("lavfi.r128.true_peak", 0.0))
        return float(said.get("lavfi.r128.I", -70.0)), max(true_peak, float(np.abs(waveform).max()))
