"""What the user named on the command line, as a list of videos: files, folders, globs, manifests, URIs."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.parquet as pq

from avlib.errors import InputError

MANIFEST_EXTENSIONS = ("csv", "parquet", "txt")

DURATION_COLUMN = "duration_s"
"""A manifest may say how long its videos are."""

_REMOTE_SCHEMES = {"http": "http", "https": "https", "s3": "s3", "s3a": "s3"}  # s3a: Hadoop's name
_SECRET = re.compile(
    r"^x-amz-|^x-goog-|token|secret|signature|password|credential|^sig$|(access|api|auth|private)[-_]?key|^key([-_]|$)",
    re.IGNORECASE,
)
_PATH = re.compile(r"/|\.\w+$")  # ?key=clips/1.mp4 names the file; a key of somebody's holds neither


@dataclass(frozen=True)
class FileIdentity:
    """A file as it is now. bytes, modified: None where there is no file to look at, or a server does not say."""

    uri: str
    bytes: int | None
    modified: datetime | None


@dataclass(frozen=True)
class Inputs:
    """The command line, sorted: media files found, manifests to be read, and what lies on other machines."""

    files: tuple[FileIdentity, ...]
    manifests: tuple[Path, ...]
    remote: tuple[str, ...] = ()


def find_inputs(arguments: Sequence[str], *, extensions: Sequence[str]) -> Inputs:
    """Resolve local files, folders, globs and manifests; s3:// and http(s):// URIs are told apart, not resolved.

    A folder is walked, and only files with a media extension in it are inputs; a folder *named* like a media file
    is one input and is not entered. A file named directly is an input whatever its extension, unless that is a
    manifest's (csv, parquet, txt).
    Raises InputError where an argument matches nothing, or nothing at all is found, or for a remote manifest.
    """
    files: dict[str, FileIdentity] = {}
    manifests: list[Path] = []
    remote = [uri for uri in map(remote_uri, arguments) if uri]
    for uri in remote:
        if _extension(Path(uri)) in MANIFEST_EXTENSIONS:
            raise InputError(f"{uri}: manifests are read from local paths: copy it here; the URIs in it may be remote")
    for argument in arguments:
        if remote_uri(argument):
            continue
        for path in _matches(argument):
            if _extension(path) in MANIFEST_EXTENSIONS:
                manifests.append(path)
                continue
            found = _walk(path, extensions) if _is_folder_to_walk(path, extensions) else [path]
            files |= {uri_of(file): identify(file) for file in found}
    if not files and not manifests and not remote:
        raise InputError(
            f"no video found in {', '.join(arguments)}: avlib looks for files ending in {', '.join(extensions)} "
            "([ingest] extensions), or name a CSV, Parquet or text manifest"
        )
    return Inputs(tuple(files[uri] for uri in sorted(files)), tuple(manifests), tuple(sorted(set(remote))))


def read_manifest(path: Path) -> pa.Table:
    """uri and metadata (the other columns, as text, without nulls) of a CSV, Parquet or text manifest.

    A text manifest has one uri a line. Rows without a uri are left out; a relative path counts from the manifest's
    folder. Raises InputError where the file cannot be read or has no column uri.
    """
    rows = _manifest_rows(path)
    named = [(str(row.pop("uri")).strip(), row) for row in rows if row.get("uri") and str(row["uri"]).strip()]
    return pa.table(
        {
            "uri": pa.array([_manifest_uri(path, uri) for uri, _ in named], pa.string()),
            "metadata": pa.array(
                [[(name, str(value)) for name, value in row.items() if value not in (None, "")] for _, row in named],
                pa.map_(pa.string(), pa.string()),
            ),
        }
    )


def _manifest_rows(path: Path) -> list[dict[str, object]]:
    listed: list[dict[str, object]]
    try:
        match _extension(path):
            case "parquet":
                rows = pq.read_table(path)
                columns, listed = rows.column_names, rows.to_pylist()
            case "csv":
                with path.open(encoding="utf-8-sig", newline="") as file:
                    reader = csv.DictReader(file, restkey="more")
                    columns, listed = list(reader.fieldnames or ()), list(reader)
            case _:
                columns, listed = ["uri"], [{"uri": line} for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as a manifest: {str(error).splitlines()[0]}") from None
    if "uri" not in columns:
        raise InputError(f"{path}: a manifest needs a column uri, this one has {', '.join(columns) or 'none'}")
    return listed


def _manifest_uri(manifest: Path, uri: str) -> str:
    if not is_local(uri):
        return remote_uri(uri) or without_credentials(uri)
    return uri_of(manifest.absolute().parent / local_path(uri))


def without_credentials(uri: str) -> str:
    """The URI without user, password and signature: these are never stored. The rest stays as it is written."""
    scheme, _, place = uri.partition("://")
    if _REMOTE_SCHEMES.get(scheme.lower()) == "s3":  # a key may hold any of ? # %, which mean nothing in it
        bucket = place.partition("/")[0]
        at = place.find("@") if ":" in bucket else bucket.rfind("@")  # a secret key may hold a slash, but no @
        return f"{scheme}://{place[at + 1 :]}"
    try:
        parts = urlsplit(uri)
    except ValueError:  # brackets that are no address: whoever asks for it is told
        return f"{scheme}://{place.rpartition('@')[2]}"
    given = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in given if not _SECRET.search(name) or _names_a_file(name, value)]
    query = parts.query if kept == given else urlencode(kept)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def _names_a_file(name: str, value: str) -> bool:
    return name.lower() == "key" and _PATH.search(value) is not None


def uri_of(path: Path) -> str:
    """The absolute path as it is; as a percent-encoded file: URI where the name is not valid Unicode."""
    text = os.path.normpath(path.absolute())  # one file, one name; links stay as they are
    try:
        text.encode()
    except UnicodeEncodeError:
        return "file://" + quote(os.fsencode(text))
    return text


def is_local(uri: str) -> bool:
    """Whether this is a path or a file: URI."""
    return uri.startswith("file:") or "://" not in uri


def remote_uri(uri: str) -> str | None:
    """An s3:// or http(s):// URI under its one name, without credentials; None for a path or another scheme."""
    scheme, _, place = uri.partition("://")
    known = _REMOTE_SCHEMES.get(scheme.lower())
    return without_credentials(f"{known}://{place}") if known and place else None


def local_path(uri: str) -> Path:
    """The file behind a path or a file: URI. Raises InputError for any other scheme."""
    if uri.startswith("file:"):
        place = re.split("[?#]", uri.removeprefix("file:"), maxsplit=1)[0]
        if place.startswith("//"):  # a host, mostly empty
            place = "/" + place[2:].partition("/")[2]
        return Path(os.fsdecode(unquote(place, errors="surrogateescape")))
    if not is_local(uri):
        scheme = uri.partition("://")[0]
        raise InputError(f"{uri}: {scheme}:// is not a local file; copy the video to a path that every worker sees")
    return Path(uri)


def video_name(uri: str) -> str:
    """The file name at the end of a path or URI, without what a web address may carry besides.

    >>> video_name("/data/films/bark?.mp4"), video_name("https://example.org/films/bark.mp4?session=7")
    ('bark?.mp4', 'bark.mp4')
    """
    place = re.split("[?#]", uri, maxsplit=1)[0] if uri.startswith(("http:", "https:")) else uri
    return place.rpartition("/")[2]


def identify(path: Path) -> FileIdentity:
    """Size and time of a local file, None for a folder or a file that is not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return FileIdentity(uri_of(path), None, None)
    if not path.is_file():
        return FileIdentity(uri_of(path), None, None)
    try:
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
    except (ValueError, OverflowError):  # beyond the year 9999
        modified = None
    return FileIdentity(uri_of(path), status.st_size, modified)


def _matches(argument: str) -> list[Path]:
    path = Path(argument).expanduser()
    if path.exists():  # before globbing: a name may hold brackets
        return [path]
    matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not matches:
        raise InputError(f"{argument}: no such file or folder, and nothing matches it as a pattern")
    return [Path(match) for match in matches]


def _extension(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()


def _is_folder_to_walk(path: Path, extensions: Sequence[str]) -> bool:
    return path.is_dir() and _extension(path) not in extensions


def _walk(folder: Path, extensions: Sequence[str]) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if _is_folder_to_walk(path, extensions):
            if not entry.is_symlink():  # a link upwards would never end
                yield from _walk(path, extensions)
        elif _extension(path) in extensions:
            yield path
