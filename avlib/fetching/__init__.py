"""Videos that lie elsewhere: http(s):// through fsspec and aiohttp, s3:// through pyarrow. No Spark here.

A video is streamed into a temporary file of this process, within a quota of bytes and of time, and is removed after
use. Its server is not trusted: see avlib.fetching.addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from avlib.config import FetchSettings
from avlib.errors import MediaError
from avlib.fetching import s3
from avlib.fetching.folders import own_folder
from avlib.inputs import FileIdentity, is_local, local_path, remote_uri

__all__ = ["fetched", "find_remote", "identify_remote", "own_folder"]

_ASKED_AT_ONCE = 32  # servers


@contextmanager
def fetched(uri: str, settings: FetchSettings) -> Iterator[Path]:
    """A video's file: itself where the URI is a path or file:, else a complete copy that lives inside the block.

    Raises MediaError, naming the URI without credentials, of error_class
    fetch_not_found (404, no such key), fetch_refused (403, a private address), fetch_too_large (the quota),
    fetch_failed (time-outs, 5xx, a broken connection or a body that ends early: transient), scheme (none of these).
    """
    if is_local(uri):
        yield local_path(uri)
        return
    place = _checked(uri)
    with own_folder(place) as folder:
        copy = folder / f"video{_suffix(place)}"
        if place.startswith("s3:"):
            s3.download(place, copy, settings)
        else:
            from avlib.fetching import http  # not before: aiohttp takes a quarter of a second

            http.download(place, copy, settings)
        yield copy


def identify_remote(uri: str, settings: FetchSettings) -> FileIdentity:
    """What the server says of a video without sending it; bytes and modified are None where it does not say.

    Never raises: what is wrong with a video, describe finds out.
    """
    try:
        place = _checked(uri)
        if place.startswith("s3:"):
            return s3.identify(place, settings)
        from avlib.fetching import http

        return http.identify(place, settings)
    except MediaError as error:
        return FileIdentity(error.path, None, None)


def find_remote(uris: Sequence[str], *, extensions: Sequence[str], settings: FetchSettings) -> list[FileIdentity]:
    """What URIs of the command line name: of s3:// also folders, walked for media, and patterns (*, ?, [a-z], **).

    uris: as avlib.inputs.remote_uri gives them. Raises InputError where one of s3:// names nothing.
    """

    def named(uri: str) -> list[FileIdentity]:
        if uri.startswith("s3:"):
            return s3.find(uri, extensions=extensions, settings=settings)
        return [identify_remote(uri, settings)]

    with ThreadPoolExecutor(_ASKED_AT_ONCE) as asking:
        return [file for files in asking.map(named, uris) for file in files]


def _checked(uri: str) -> str:
    place = remote_uri(uri)
    if place is None:
        scheme = uri.partition("://")[0]
        reason = f"{scheme}:// cannot be read: give a path, s3:// or http(s)://"
        raise MediaError(uri.rpartition("@")[2], reason, error_class="scheme")
    return place


def _suffix(uri: str) -> str:
    """The extension that the URI shows, for readers that go by it; empty where it shows none."""
    extension = uri.partition("?")[0].rpartition("/")[2].rpartition(".")[2]
    return f".{extension}" if extension.isascii() and extension.isalnum() and len(extension) <= 8 else ""
