"""s3:// through pyarrow: credentials and region as AWS' tools find them, AWS_ENDPOINT_URL for another server.

The server is the operator's choice, so its address may be private. Nothing in a URI changes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow import fs

from avlib.config import FetchSettings
from avlib.errors import InputError, MediaError
from avlib.fetching.progress import Progress, answered, cannot_write, stalled
from avlib.inputs import FileIdentity

_PIECE_BYTES = 8 << 20  # one request each
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_ATTEMPTS = 3


def download(uri: str, target: Path, settings: FetchSettings) -> None:
    """Stream an object into `target`. Raises MediaError as avlib.fetching.fetched says.

    fetch.timeout_s is looked at between requests, each of which may stall for fetch.stall_s and is tried three times.
    """
    progress = Progress(uri, settings)
    try:
        with target.open("wb") as file:
            for piece in _pieces(uri, settings, progress):
                progress.relative_update(len(piece))
                file.write(piece)
    except OSError as error:
        raise cannot_write(uri, error) from None
    progress.finish()


def _pieces(uri: str, settings: FetchSettings, progress: Progress) -> Iterator[bytes]:
    with _errors(uri, settings), _filesystem(_bucket(uri), settings.stall_s).open_input_file(_path(uri)) as stream:
        progress.set_size(stream.size())
        while piece := stream.read(_PIECE_BYTES):
            yield piece


def identify(uri: str, settings: FetchSettings) -> FileIdentity:
    """Size and time of an object, None for a folder or where there is none. Raises MediaError where it is refused."""
    with _errors(uri, settings):
        return _identity(_filesystem(_bucket(uri), settings.stall_s).get_file_info(_path(uri)))


def find(uri: str, *, extensions: Sequence[str], settings: FetchSettings) -> list[FileIdentity]:
    """The objects a URI names: itself; those below a folder that have a media extension; those a pattern matches.

    Raises InputError where there is none, or the server does not say.
    """
    try:
        with _errors(uri, settings):
            found = _find(uri, extensions, settings)
    except MediaError as error:
        raise InputError(str(error)) from None
    if not found:
        raise InputError(f"{uri}: no such object or folder of media files, and nothing matches it as a pattern")
    return found


def _find(uri: str, extensions: Sequence[str], settings: FetchSettings) -> list[FileIdentity]:
    filesystem, path = _filesystem(_bucket(uri), settings.stall_s), _path(uri)
    named = filesystem.get_file_info(path.rstrip("/"))
    if named.type == fs.FileType.File and not path.endswith("/"):
        return [_identity(named)]
    if named.type == fs.FileType.Directory:
        below = filesystem.get_file_info(fs.FileSelector(path.rstrip("/"), recursive=True))
        media = [file for file in below if file.extension.lower() in extensions]
        return [_identity(file) for file in media if file.type == fs.FileType.File]
    matches = ArrowFSWrapper(filesystem, skip_instance_cache=True).glob(path, detail=True)
    return [
        FileIdentity(f"s3://{name}", info["size"], info["mtime"])
        for name, info in matches.items()
        if info["type"] == "file"
    ]


def _identity(info: fs.FileInfo) -> FileIdentity:
    return FileIdentity(f"s3://{info.path}", info.size, info.mtime)


def _path(uri: str) -> str:
    """bucket/key; keys are written as they are, nothing in them is percent-encoded."""
    return uri.removeprefix("s3://")


def _bucket(uri: str) -> str:
    bucket = _path(uri).partition("/")[0]
    if not _BUCKET.fullmatch(bucket):
        raise MediaError(uri, "names no bucket: write s3://BUCKET/KEY", error_class="fetch_not_found")
    return bucket


def _filesystem(bucket: str, stall_s: float) -> fs.S3FileSystem:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    if not region:
        region = "us-east-1" if endpoint else _region(bucket)
    return _connection(endpoint, region, stall_s)


@lru_cache(maxsize=256)
def _region(bucket: str) -> str:
    return str(fs.resolve_s3_region(bucket))


@lru_cache(maxsize=16)
def _connection(endpoint: str, region: str, stall_s: float) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        endpoint_override=endpoint or None,
        region=region,
        connect_timeout=stall_s,
        request_timeout=stall_s,  # without a byte
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )


@contextmanager
def _errors(uri: str, settings: FetchSettings) -> Iterator[None]:
    """What pyarrow raises inside, as MediaError."""
    try:
        yield
    except FileNotFoundError:
        raise answered(uri, 404, what="Not Found") from None
    except OSError as error:
        raise _explain(uri, str(error), settings) from None
    except ValueError as error:  # a key with // in it
        reason = f"not a place in S3 that can be read: {error}"
        raise MediaError(uri, reason, error_class="fetch_not_found") from None


def _explain(uri: str, said: str, settings: FetchSettings) -> MediaError:
    status = re.search(r"HTTP status (\d+)", said)
    if status:
        return answered(uri, int(status[1]), what="")
    if re.search("ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|INVALID_CLIENT_TOKEN", said):
        return answered(uri, 403, what="Forbidden")
    if re.search("NO_SUCH|RESOURCE_NOT_FOUND|Bucket .* not found", said):
        return answered(uri, 404, what="Not Found")
    if "Timeout was reached" in said:
        return stalled(uri, settings)
    reason = f"S3 failed ({said.splitlines()[0]}): check AWS_ENDPOINT_URL and AWS_REGION, or try again later"
    return MediaError(uri, reason, error_class="fetch_failed", transient=True)
