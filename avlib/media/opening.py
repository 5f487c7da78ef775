"""The one place where media files are opened. Everything that reads a video goes through `open_media`."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import av
from av.codec import Codec, codecs_available
from av.codec.codec import UnknownCodecError
from av.codec.context import CodecContext
from av.container import InputContainer
from av.error import FFmpegError

from avlib.errors import MediaError
from avlib.media import progress

ALLOWED_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,mxf,dv,rm,ivf,gif,"
    "wav,mp3,flac,aac,ac3,aiff,caf,amr"
)
"""FFmpeg demuxers that may open a file. No playlists, no concat files: they open other files and URLs."""

ALLOWED_CODECS = (
    "h264,hevc,av1,vp8,vp9,vp7,vp6,vp6f,vp6a,vp3,theora,mpeg1video,mpeg2video,mpeg4,msmpeg4v1,msmpeg4v2,msmpeg4v3,h261,"
    "h263,h263p,h263i,flv1,wmv1,wmv2,wmv3,vc1,svq1,svq3,rv10,rv20,rv30,rv40,cinepak,indeo3,indeo5,mjpeg,dvvideo,prores,"
    "dnxhd,ffv1,huffyuv,ffvhuff,utvideo,qtrle,gif,png,rawvideo,jpeg2000,"
    "aac,aac_latm,mp1,mp2,mp3,opus,vorbis,flac,alac,ac3,eac3,dts,truehd,mlp,wmav1,wmav2,wmapro,wmalossless,amr_nb,amr_wb,"
    "speex,nellymoser,cook,ra_144,ra_288,sipr,qdm2,qdmc,gsm,gsm_ms,ilbc,wavpack,tta,ape,"
    "adpcm_ima_wav,adpcm_ima_qt,adpcm_ms,adpcm_swf,adpcm_yamaha,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,"
    "pcm_u16le,pcm_u16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_bluray,"
    "pcm_dvd,pcm_s16le_planar,pcm_s24le_planar"
)
"""FFmpeg codecs, by canonical name, that may decode a stream: those of videos as people make them."""

ERROR_CLASSES = {
    "not_found": "no such file",
    "is_directory": "a folder",
    "permission": "may not be read",
    "empty_file": "0 bytes",
    "not_media": "not a media file of an allowed format (a web page, a text, a playlist, a pipe)",
    "incomplete": "a media file whose header or index is missing or damaged",
    "no_streams": "neither pictures nor sound, or not the one that was asked for",
    "undecodable": "of a known format, but nothing of it, or of the stream, can be decoded",
    "codec_refused": "in a codec that avlib does not allow",
    "too_large": "pictures of more pixels than allowed",
    "memory_limit": "needs more memory than one video may have, or than there is",
    "stalled": "no progress for longer than allowed (transient where its disk or mount does not answer)",
    "timeout": "takes longer than one video may",
    "crashed": "the decoding process died of it",
    "unreadable": "the system refused to read it (transient for input/output errors)",
}
"""The values of MediaError.error_class in this package, and what they mean."""

_SCHEME = "file:"  # keeps FFmpeg from reading a name such as "http:x.mp4" as an address
_MAGIC = (b"\x1a\x45\xdf\xa3", b"RIFF", b"OggS", b"FLV", b"fLaC", b"ID3", b"\x00\x00\x01\xba", b"G@")
_LARGEST_ERRNO = 4095  # of Linux; FFmpeg's own numbers are four letters
_MIB_READ_AGAIN = 16  # FFmpeg reads ahead
_TRANSIENT = {
    errno.EIO,
    errno.ENOSPC,
    errno.EMFILE,
    errno.ENFILE,
    errno.ESTALE,
    errno.ETIMEDOUT,
    # a mount that has gone away
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ECONNRESET,
}


@lru_cache(maxsize=1)
def _allowed_decoders() -> str:
    """FFmpeg's names of all decoders of ALLOWED_CODECS: mp3 may be decoded by mp3float."""
    allowed, names = ALLOWED_CODECS.split(","), []
    for name in sorted(codecs_available):
        with suppress(UnknownCodecError):  # it only encodes
            if Codec(name, "r").canonical_name in allowed:
                names.append(name)
    return ",".join(names)


def check_codec(path: Path, context: CodecContext) -> None:
    """Raise MediaError where a stream's codec is none of `ALLOWED_CODECS`."""
    name = context.codec.canonical_name
    if name not in ALLOWED_CODECS.split(","):
        raise MediaError(path, f"its codec {name} is not one that avlib decodes", error_class="codec_refused")


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading and close it at the end; only local files of the allowed formats.

    Raises MediaError with one of the classes in `ERROR_CLASSES`, also for what FFmpeg raises inside the
    `with` block, so that no FFmpeg error ever leaves this package.
    """
    check_is_file(path)
    progress.begin_anew()
    try:
        container = av.open(
            _url(path),
            options={
                "format_whitelist": ALLOWED_FORMATS,
                "codec_whitelist": _allowed_decoders(),  # opening a file runs decoders to find out what is in it
                "protocol_whitelist": "file",
            },
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
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise MediaError(
            path.as_posix().encode(errors="replace").decode(),
            "the file name is not valid UTF-8; rename the file",
            error_class="unreadable",
        ) from error
    return f"{_SCHEME}{path}"


def check_is_file(path: Path) -> None:
    """Raise MediaError unless the path is a regular file that can be read and is not empty."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            with path.open("rb"):  # finds out about permissions before FFmpeg does
                pass
    except FileNotFoundError as error:
        raise MediaError(path, "there is no such file", error_class="not_found") from error
    except ValueError as error:  # a null character in its name
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


def check_answers(container: InputContainer, error: Exception, *, from_byte: int) -> None:
    """After an error in mid-file: raise MediaError where the disk or its mount failed, not what is in the file.

    FFmpeg calls some damage an input/output error, too; so the bytes from there on are read once more. The other
    errors are the system's alone, and FFmpeg goes on failing with its handle when the mount is back.
    """
    path, code = Path(container.name.removeprefix(_SCHEME)), getattr(error, "errno", None)
    if code != errno.EIO and code in _TRANSIENT:
        raise _reading_error(path, error) from error
    if code == errno.EIO and (failed := _read_again(path, from_byte)):
        raise _reading_error(path, failed) from error


def _read_again(path: Path, from_byte: int) -> OSError | None:
    """What the system says, if anything, where it reads the file from there on, as far as FFmpeg may read ahead."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(from_byte)
            for _ in range(_MIB_READ_AGAIN):  # the read after the one that stops short of a bad sector fails
                if not file.read(1 << 20):
                    break
    except OSError as failed:
        return failed
    return None


def _opening_error(path: Path, error: Exception) -> MediaError:
    # FFmpeg answers EINVAL to formats that are not allowed, and the others to files that are cut off. Where it is the
    # disk that fails, reading says so: the beginning, and the end, where an MP4 often has its index.
    of_content = isinstance(error, av.error.InvalidDataError | av.error.EOFError)
    if not of_content and (getattr(error, "errno", None) or 0) > _LARGEST_ERRNO:  # FFmpeg's own
        reason = f"FFmpeg cannot open it ({getattr(error, 'strerror', None) or error}): convert it, or fetch it again"
        return MediaError(path, reason, error_class="undecodable")
    if not of_content and getattr(error, "errno", None) not in (errno.EINVAL, errno.EIO):
        return _reading_error(path, error)
    try:
        size = path.stat().st_size
        failed = _read_again(path, 0) or _read_again(path, max(size - (_MIB_READ_AGAIN << 20), 0))
        with path.open("rb") as file:
            head = b"" if failed else file.read(1024)
    except OSError as gone:
        failed = gone
    if failed:
        return _reading_error(path, failed)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        reason = "it is a web page, not a video; fetch the video itself"
        return MediaError(path, reason, error_class="not_media")
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip"):
        reason = "an MP4 without a usable index (moov): recording or upload broke off; fetch it again"
        return MediaError(path, reason, error_class="incomplete")
    if head.startswith(_MAGIC):
        reason = "its header is damaged, nothing in it can be found; fetch it again"
        return MediaError(path, reason, error_class="incomplete")
    return MediaError(path, "it is not a media file of a known format", error_class="not_media")


def short_of_memory(path: Path) -> MediaError:
    """The error for a file that takes more memory than there is."""
    reason = "it needs more memory than decode.memory_mb gives one video, or than there is"
    return MediaError(path, reason, error_class="memory_limit")


def _reading_error(path: Path, error: Exception) -> MediaError:
    code = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    what = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if code == errno.ENOMEM:
        return short_of_memory(path)
    return MediaError(path, f"it cannot be read: {what}", error_class="unreadable", transient=code in _TRANSIENT)
