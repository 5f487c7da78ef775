"""Files of a warehouse that are no tables: blocks, models, index shards. Local paths, or any URI pyarrow knows."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from avlib.errors import WarehouseError

_FULL = ("No space left on device", "Disk quota exceeded")
_NEARLY_FULL, _NEARLY_FULL_BYTES = 0.05, 10_000_000_000  # free, at most: what did not fit may be removed again
_TASK_LOST = re.compile(r"\(TID \d+\) \((?P<host>\S+) executor (?P<executor>\d+)\)")
"""How Spark says where a task failed. Without a cluster the executor is called `driver`."""


def cache_folder() -> Path:
    """Where avlib keeps, for this user of this machine, what could be found out again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "avlib")  # noqa: PTH111 - never raises


def filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URI, and the path in it. s3a:// (Hadoop's name) is s3://."""
    if "://" not in uri and not uri.startswith("file:"):
        return fs.LocalFileSystem(), uri
    system, path = fs.FileSystem.from_uri(uri.replace("s3a://", "s3://", 1))
    return system, str(path)


def for_spark(place: str) -> str:
    """The path or URI as Spark is to be told of it, whose default file system may be another (HDFS) than this one."""
    return place if "://" in place else f"file:{place}"


def is_file(uri: str) -> bool:
    """Whether there is a file at this place."""
    system, path = filesystem(uri)
    return bool(system.get_file_info(path).type == fs.FileType.File)


def is_folder(uri: str) -> bool:
    """Whether there is a folder at this place."""
    system, path = filesystem(uri)
    return bool(system.get_file_info(path).type == fs.FileType.Directory)


def write_whole(uri: str, content: pa.Buffer | bytes) -> None:
    """Write a file so that it is seen whole or not at all; one that was there is replaced."""
    with written_whole(uri) as stream:
        stream.write(content)


def opened_to_write(uri: str) -> pa.NativeFile:
    """A new file, its folders made; what it holds before it is closed may be seen."""
    system, path = filesystem(uri)
    system.create_dir(path.rpartition("/")[0], recursive=True)
    return system.open_output_stream(path)


@contextmanager
def written_whole(uri: str) -> Iterator[pa.NativeFile]:
    """A file to be written, which is seen whole, once the block has ended, or not at all."""
    system, path = filesystem(uri)
    system.create_dir(path.rpartition("/")[0], recursive=True)
    partial = f"{path}.{uuid.uuid4().hex}.partial"
    try:
        with system.open_output_stream(partial) as stream:
            yield stream
        system.move(partial, path)
    except BaseException:
        if system.get_file_info(partial).type == fs.FileType.File:
            system.delete_file(partial)
        raise


def remove_partial(uri: str, *, prefix: str = "", but: str = "/") -> None:
    """Remove what a `write_whole` that was killed left in a folder. For who alone writes such files there.

    prefix: of their names.  but: those whose names begin so stay.
    """
    system, path = filesystem(uri)
    for found in system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        name = found.base_name
        if name.endswith(".partial") and name.startswith(prefix) and not name.startswith(but):
            system.delete_file(found.path)


def read_whole(uri: str) -> pa.Buffer:
    """The content of a file: memory-mapped where it is local, else read."""
    system, path = filesystem(uri)
    if isinstance(system, fs.LocalFileSystem):
        return pa.memory_map(path).read_buffer()
    with system.open_input_file(path) as stream:
        return stream.read_buffer()


def local_copy(uri: str) -> Path:
    """The file itself where it is local, else a copy in this machine's temporary folder, made once.

    Copies of an index hold URIs and descriptors, and stay until somebody removes that folder, also after `forget`.
    """
    system, path = filesystem(uri)
    if isinstance(system, fs.LocalFileSystem):
        return Path(path)
    name = f"{hashlib.sha256(uri.encode()).hexdigest()[:16]}-{path.rpartition('/')[2]}"
    copy = _own_folder() / name
    if not copy.exists():
        write_whole(str(copy), read_whole(uri))
    return copy


def _own_folder() -> Path:
    """A folder below the temporary one, where anybody may make one of any name: refused, unless it is this user's."""
    folder = Path(tempfile.gettempdir()) / f"avlib-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    there = folder.lstat()
    if there.st_uid != os.getuid() or not stat.S_ISDIR(there.st_mode) or there.st_mode & 0o022:
        raise WarehouseError(
            f"{folder} is not a folder that this user alone may write, so what lies there cannot be trusted: remove "
            "it, or name another temporary folder by TMPDIR"
        )
    return folder


def remove_folder(uri: str) -> None:
    """Remove a folder and all in it; nothing where there is none."""
    system, path = filesystem(uri)
    if system.get_file_info(path).type == fs.FileType.Directory:
        system.delete_dir(path)


def remove_others(uri: str, *, prefix: str, keep: str) -> None:
    """Remove the folders in a folder whose names begin with a prefix, but for one name."""
    system, path = filesystem(uri)
    for found in system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if found.base_name.startswith(prefix) and found.base_name != keep:
            remove_folder(f"{uri}/{found.base_name}")


def remove_if_empty(uri: str) -> None:
    """Remove a folder that holds nothing; one that holds something stays."""
    system, path = filesystem(uri)
    if isinstance(system, fs.LocalFileSystem):
        with suppress(OSError):  # the system's own check: another run may put something there at any moment
            Path(path).rmdir()
    elif not system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        remove_folder(uri)


def full_disk(error: BaseException, places: Sequence[str]) -> str | None:
    """Which place is on the disk that an error says is full; None for another error.

    places: paths and URIs that this machine sees. Where a task failed on another machine, and none of them is nearly
    full, that machine is told.
    """
    if not any(said in str(error) for said in _FULL):
        return None
    there = [path for path in places if "://" not in path and Path(path).exists()]
    fullest = min(there, key=lambda path: shutil.disk_usage(path).free, default=places[0])
    if elsewhere := _TASK_LOST.search(str(error)):
        task = f"executor {elsewhere['executor']} on {elsewhere['host']}, one of its disks"
        return next((path for path in there if _nearly_full(path)), task)
    return fullest


def _nearly_full(path: str) -> bool:
    usage = shutil.disk_usage(path)
    return usage.free < min(_NEARLY_FULL * usage.total, _NEARLY_FULL_BYTES)
