"""Near-copies of videos: what becomes of one that is uploaded again, encoded anew, cut or dubbed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.filter import Graph
from av.video.stream import VideoStream

_PLAIN = "scale=480:270"
_EVERYTHING_S = 3600.0


@dataclass(frozen=True)
class Change:
    """What is done to a video.

    pictures, sound: FFmpeg filters.  crf: of H.264, more is worse.  sound_rate_hz, channels, sound_bits_per_s: of AAC.
    from_s, until_s: what is left of it.
    """

    pictures: str = _PLAIN
    sound: str = "anull"
    frame_rate_hz: int = 25
    crf: int = 23
    sound_rate_hz: int = 44_100
    channels: int = 2
    sound_bits_per_s: int = 128_000
    from_s: float = 0.0
    until_s: float = _EVERYTHING_S


CHANGES = {
    "encoded again": Change(),
    "smaller": Change("scale=256:144"),
    "crf 35": Change(crf=35),
    "15 pictures a second": Change(frame_rate_hz=15),
    "without its first 1.37 s": Change(from_s=1.37),
    "mirrored": Change(f"{_PLAIN},hflip"),
    "brighter": Change(f"{_PLAIN},lutyuv=y=val*1.25"),
    "louder by 6 dB": Change(sound="volume=6dB"),
    "sound at 64 kbit/s": Change(sound_bits_per_s=64_000),
    "sound at 8 kHz, mono": Change(sound_rate_hz=8000, channels=1, sound_bits_per_s=24_000),
    "a border": Change("scale=420:236,pad=480:270:30:17:black"),
    "a logo": Change(f"{_PLAIN},drawbox=380:20:80:40:red:fill"),
    "crf 32, 320 wide, 48 kbit/s, louder, later": Change(
        "scale=320:180", "volume=3dB", 20, 32, 32_000, 1, 48_000, from_s=2.51
    ),
}


def write_changed(path: Path, sources: list[tuple[Path, Change]]) -> None:
    """The sources one after another, each changed; encoded as the first one asks for. H.264 and AAC in MP4."""
    form = sources[0][1]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=form.frame_rate_hz, options=_quick(form))
        audio = container.add_stream("aac", rate=form.sound_rate_hz)
        assert isinstance(video, VideoStream) and isinstance(audio, AudioStream)
        audio.layout, audio.bit_rate = _layout(form), form.sound_bits_per_s
        video.pix_fmt = "yuv420p"
        shown = heard = 0
        for source, change in sources:
            for picture in _pictures(source, change):
                if not shown:
                    video.width, video.height = picture.width, picture.height
                picture.pts, picture.time_base, shown = shown, Fraction(1, form.frame_rate_hz), shown + 1
                container.mux(video.encode(picture))
            # A sound that is shorter than its pictures, or longer, must not move the next one.
            for piece in _sound(source, change, form):
                piece.pts, piece.time_base = heard, Fraction(1, form.sound_rate_hz)
                heard += piece.samples
                container.mux(audio.encode(piece))
            heard = max(heard, round(shown / form.frame_rate_hz * form.sound_rate_hz))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def write_dubbed(path: Path, pictures: Path, sound: Path) -> None:
    """The pictures of one video with the sound of another."""
    form = Change()
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=form.frame_rate_hz, options=_quick(form))
        audio = container.add_stream("aac", rate=form.sound_rate_hz)
        assert isinstance(video, VideoStream) and isinstance(audio, AudioStream)
        audio.layout, video.pix_fmt = _layout(form), "yuv420p"
        for index, picture in enumerate(_pictures(pictures, form)):
            if not index:
                video.width, video.height = picture.width, picture.height
            picture.pts, picture.time_base = index, Fraction(1, form.frame_rate_hz)
            container.mux(video.encode(picture))
        heard = 0
        for piece in _sound(sound, form, form):
            piece.pts, piece.time_base = heard, Fraction(1, form.sound_rate_hz)
            heard += piece.samples
            container.mux(audio.encode(piece))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _quick(form: Change) -> dict[str, str]:
    return {"preset": "veryfast", "crf": str(form.crf)}


def _layout(form: Change) -> str:
    return "mono" if form.channels == 1 else "stereo"


def _pictures(source: Path, change: Change) -> Iterator[av.VideoFrame]:
    cut = f"trim={change.from_s}:{change.until_s},setpts=PTS-STARTPTS"
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        graph = Graph()
        # Cut after the frame rate is constant: so sound and pictures lose the same.
        filters = f"fps={change.frame_rate_hz}:start_time=0,{cut},{change.pictures}"
        yield from _filtered(graph, graph.add_buffer(template=stream), filters, container.decode(stream), "buffersink")


def _sound(source: Path, change: Change, form: Change) -> Iterator[av.AudioFrame]:
    cut = f"atrim={change.from_s}:{change.until_s},asetpts=PTS-STARTPTS"
    with av.open(str(source)) as container:
        stream = container.streams.audio[0]
        graph = Graph()
        to = f"aresample={form.sound_rate_hz},aformat=fltp:{form.sound_rate_hz}:{_layout(form)},asetnsamples=1024"
        filters = f"{cut},{change.sound},{to}"
        given = container.decode(stream)
        yield from _filtered(graph, graph.add_abuffer(template=stream), filters, given, "abuffersink")


def _filtered(graph: Graph, first, chain: str, frames, sink: str):  # type: ignore[no-untyped-def]
    last = first
    for one in chain.split(","):
        name, _, arguments = one.partition("=")
        node = graph.add(name, arguments or None)
        last.link_to(node)
        last = node
    last.link_to(graph.add(sink))
    graph.configure()
    for frame in itertools.chain(frames, (None,)):
        try:
            graph.push(frame)
        except av.error.EOFError:  # the cut has all that it wants
            return
        while True:
            try:
                yield graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
