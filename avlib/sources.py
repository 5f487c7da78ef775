"""Videos wherever they lie, and query pictures: fetched within limits, read in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from avlib.arrays import UInt8Array
from avlib.config import DecodeSettings, FetchSettings
from avlib.fetching import fetched
from avlib.media import Decoder, IsolatedVideo


class Sources:
    """Opens videos by URI, one at a time. Close it at the end: it keeps a decoding process."""

    def __init__(self, fetch: FetchSettings, decode: DecodeSettings) -> None:
        self._fetch = fetch
        self._decoder = Decoder(decode)

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()

    def picture(self, path: Path, *, max_pixels: int, name: str = "") -> UInt8Array:
        """A picture file of this machine: shape (height, width, 3), uint8 RGB.  name: for errors, else the path.

        Raises InputError where it is none, is too large, or takes too long.
        """
        return self._decoder.still(path, max_pixels=max_pixels, name=name or str(path))

    @contextmanager
    def open(self, uri: str) -> Iterator[IsolatedVideo]:
        """The video at a path, file:, s3:// or http(s):// URI. Raises MediaError where it cannot be had."""
        with fetched(uri, self._fetch) as path:
            yield self._decoder.open(path)


@lru_cache(maxsize=1)
def kept_sources(fetch: FetchSettings, decode: DecodeSettings) -> Sources:
    """What opens videos for this process as long as it lives, as for a Python worker of Spark from task to task."""
    return Sources(fetch, decode)
