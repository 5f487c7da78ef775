"""The one place where media files are opened. Everything that reads a video goes through `open_media`."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

from avlib.errors import MediaError

ALLOWED_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,mxf,dv,rm,ivf,gif,"
    "wav,mp3,flac,aac,ac3,aiff,caf,amr"
)
"""FFmpeg demuxers that may open a file. No playlists, no concat files: they open other files and URLs."""

ERROR_CLASSES = {
    "not_found": "no such file",
    "is_directory": "a folder",
    "permission": "may not be read",
    "empty_file": "0 bytes",
    "not_media": "not a media file of an allowed format (a web page, a text, a playlist, a pipe)",
    "incomplete": "a media file whose header or index is missing or damaged",
    "no_streams": "neither pictures nor sound, or not the one that was asked for",
    "undecodable": "has the stream, but nothing of it can be decoded",
    "out_of_memory": "needs more memory than there is (transient)",
    "unreadable": "the system refused to read it (transient for input/output errors)",
}
"""The values of MediaError.error_class in this package, and what they mean."""

_TRANSIENT = {
    errno.EIO,
    errno.ENOSPC,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ESTALE,
    errno.ETIMEDOUT,
}


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading and close it at the end; only local files of the allowed formats.

    Raises MediaError with one of the classes in `ERROR_CLASSES`, also for what FFmpeg raises inside the
    `with` block, so that no FFmpeg error ever leaves this package.
    """
    check_is_file(path)
    try:
        container = av.open(
            _url(path),
            options={"format_whitelist": ALLOWED_FORMATS, "protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except (FFmpegError, MemoryError) as error:
        raise _opening_error(path, error) from error
    with reading_errors(path), container:
        yield container


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turn what FFmpeg raises inside the `with` block into MediaError."""
    try:
        yield
    except (FFmpegError, MemoryError) as error:
        raise _reading_error(path, error) from error


def _url(path: Path) -> str:
    # "file:" keeps FFmpeg from reading a name such as "http:x.mp4" as an address.
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise MediaError(
            path.as_posix().encode(errors="replace").decode(),
            "the file name is not valid UTF-8; rename the file",
            error_class="unreadable",
        ) from error
    return f"file:{path}"


def check_is_file(path: Path) -> None:
    """Raise MediaError unless the path is a regular file that can be read and is not empty."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            with path.open("rb"):  # finds out about permissions before FFmpeg does
                pass
    except FileNotFoundError as error:
        raise MediaError(path, "there is no such file", error_class="not_found") from error
    except PermissionError as error:
        raise MediaError(path, "no permission to read it", error_class="permission") from error
    except OSError as error:
        raise _reading_error(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(path, "it is a folder, not a file", error_class="is_directory")
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(path, "it is a device or a pipe, not a file", error_class="not_media")
    if status.st_size == 0:
        raise MediaError(path, "the file is empty (0 bytes); fetch it again", error_class="empty_file")


def _opening_error(path: Path, error: Exception) -> MediaError:
    # FFmpeg answers "invalid argument" to formats that are not allowed.
    if not isinstance(error, av.error.InvalidDataError | av.error.ArgumentError):
        return _reading_error(path, error)
    with path.open("rb") as file:
        head = file.read(1024)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        reason = "it is a web page, not a video; fetch the video itself"
        return MediaError(path, reason, error_class="not_media")
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip"):
        reason = "an MP4 without a usable index (moov): recording or upload broke off; fetch it again"
        return MediaError(path, reason, error_class="incomplete")
    if head.startswith((b"\x1a\x45\xdf\xa3", b"RIFF", b"OggS", b"FLV")):
        reason = "its header is damaged, nothing in it can be found; fetch it again"
        return MediaError(path, reason, error_class="incomplete")
    return MediaError(path, "it is not a media file of a known format", error_class="not_media")


def _reading_error(path: Path, error: Exception) -> MediaError:
    code = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    what = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if code == errno.ENOMEM:
        return MediaError(path, "not enough memory to read it", error_class="out_of_memory", transient=True)
    return MediaError(path, f"it cannot be read: {what}", error_class="unreadable", transient=code in _TRANSIENT)
