"""Videos that give nothing, as any pile from the web holds some: `avlib failures` and the report tell of them."""

from __future__ import annotations

from pathlib import Path

import av

FLAWED = ("without-end.mp4", "without-sound.mp4")
"""Their names, which sort after all others: these have the same ids with and without them."""


def write_flawed(folder: Path) -> None:
    """Beside the videos of a collection, from its first MP4: half of one, and one without sound."""
    whole = min(folder.glob("v*.mp4"))
    content = whole.read_bytes()
    (folder / FLAWED[0]).write_bytes(content[: len(content) // 2])  # the index of an MP4 lies at its end
    with av.open(str(whole)) as source, av.open(str(folder / FLAWED[1]), "w") as copy:
        pictures = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                copy.mux(packet)
