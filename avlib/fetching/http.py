"""http(s):// through fsspec's HTTPFileSystem. Redirects are followed, proxies and cookies are not used."""

from __future__ import annotations

import asyncio
import errno
from asyncio import AbstractEventLoop
from collections.abc import Coroutine
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import aiohttp
from fsspec.asyn import sync
from fsspec.implementations.http import HTTPFileSystem

from avlib.config import FetchSettings
from avlib.errors import MediaError
from avlib.fetching.addresses import public_socket
from avlib.fetching.progress import Progress, answered, cannot_write, stalled, too_slow
from avlib.inputs import FileIdentity

_PIECE_BYTES = 1 << 20
_MOST_BYTES = 1 << 63  # of a table's column

_T = TypeVar("_T")


def download(uri: str, target: Path, settings: FetchSettings) -> None:
    """Stream a file into `target`. Raises MediaError as avlib.fetching.fetched says."""
    _wait(_download(uri, target, settings), settings)


def identify(uri: str, settings: FetchSettings) -> FileIdentity:
    """Size and time as a HEAD request tells them. Raises MediaError where it cannot be asked."""
    return _wait(_identify(uri, settings), settings)


def _wait(answer: Coroutine[None, None, _T], settings: FetchSettings) -> _T:
    result: _T = sync(_filesystem(settings).loop, lambda: answer)
    return result


@lru_cache(maxsize=4)
def _filesystem(settings: FetchSettings) -> HTTPFileSystem:
    return HTTPFileSystem(get_client=partial(_session, settings), skip_instance_cache=True)


async def _session(settings: FetchSettings, *, loop: AbstractEventLoop) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(socket_factory=None if settings.allow_private else public_socket),
        timeout=aiohttp.ClientTimeout(
            total=settings.timeout_s, sock_connect=settings.stall_s, sock_read=settings.stall_s
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,  # bytes are counted and kept as they are sent
    )


async def _download(uri: str, target: Path, settings: FetchSettings) -> None:
    progress = Progress(uri, settings)
    try:
        await _filesystem(settings)._get_file(uri, str(target), chunk_size=_PIECE_BYTES, callback=progress)
    except aiohttp.ServerTimeoutError:
        raise stalled(uri, settings) from None
    except TimeoutError:
        raise too_slow(uri, settings) from None
    except (aiohttp.ClientError, ValueError) as error:
        raise _explain(uri, error) from None
    except FileNotFoundError:
        raise answered(uri, 404, what="Not Found") from None
    except OSError as error:
        raise cannot_write(uri, error) from None
    progress.finish()


async def _identify(uri: str, settings: FetchSettings) -> FileIdentity:
    filesystem = _filesystem(settings)
    session: aiohttp.ClientSession = await filesystem.set_session()
    try:
        async with asyncio.timeout(settings.stall_s):
            async with session.head(filesystem.encode_url(uri), allow_redirects=True, raise_for_status=True) as answer:
                modified = answer.headers.get("Last-Modified")
                return FileIdentity(uri, _size(answer.content_length), _time(modified))
    except TimeoutError:
        raise stalled(uri, settings) from None
    except (aiohttp.ClientError, ValueError) as error:
        raise _explain(uri, error) from None


def _size(said: int | None) -> int | None:
    return said if said is not None and 0 <= said < _MOST_BYTES else None


def _time(header: str | None) -> datetime | None:
    try:
        said = parsedate_to_datetime(header) if header else None
        return said.replace(tzinfo=said.tzinfo or UTC).astimezone(UTC) if said else None
    except (ValueError, OverflowError):
        return None


def _explain(uri: str, error: Exception) -> MediaError:
    match error:
        case aiohttp.TooManyRedirects():
            return MediaError(uri, "redirected in a circle: check the URI", error_class="fetch_failed")
        case aiohttp.ClientResponseError() if isinstance(error.__cause__, aiohttp.http.HttpProcessingError):
            what = " ".join(error.message.split())[:200]
            reason = f"what came is no answer of a web server ({what}): check the URI"
            return MediaError(uri, reason, error_class="fetch_failed")
        case aiohttp.ClientResponseError():
            return answered(uri, error.status, what=error.message)
        case aiohttp.ClientConnectorCertificateError():
            reason = "the server's certificate is not valid: check the URI, or copy the video"
            return MediaError(uri, reason, error_class="fetch_failed")
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.EACCES:
            reason = "it is, or redirects to, a private address: set fetch.allow_private = true to read such"
            return MediaError(uri, reason, error_class="fetch_refused")
        case aiohttp.ClientPayloadError():
            reason = "the body ends before its end: try again later"
        case aiohttp.InvalidURL() | ValueError():
            return MediaError(uri, f"not a URL that can be asked for: {error}", error_class="fetch_failed")
        case _:
            reason = f"the connection failed ({str(error) or type(error).__name__}): try again later"
    return MediaError(uri, reason, error_class="fetch_failed", transient=True)
