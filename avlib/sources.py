"""Videos wherever they lie: fetched within limits, read in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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

    @contextmanager
    def open(self, uri: str) -> Iterator[IsolatedVideo]:
        """The video at a path, file:, s3:// or http(s):// URI. Raises MediaError where it cannot be had."""
        with fetched(uri, self._fetch) as path:
            yield self._decoder.open(path)
