"""Fetching and finding videos in S3: against moto's server, and against one that misbehaves."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_server import serve
from pyarrow import fs
from s3_server import serve_s3

from avlib.config import FetchSettings
from avlib.errors import InputError, MediaError
from avlib.fetching import fetched, find_remote, identify_remote

SETTINGS = FetchSettings(quota_bytes=20 << 20, timeout_s=30, stall_s=2, allow_private=False)
KEYS = ("top.mov", "a/b.mp4", "a/c d?x#1%20.webm", "a/notes.txt", "a/deep/e.MP4", "a/[x].mp4")


@pytest.fixture(scope="module")
def bucket() -> Iterator[fs.S3FileSystem]:
    with pytest.MonkeyPatch.context() as monkeypatch, serve_s3(monkeypatch) as files:
        for key in KEYS:
            with files.open_output_stream(f"videos/{key}", compression=None) as stream:
                stream.write(key.encode())
        yield files


def names(*uris: str) -> list[str]:
    found = find_remote(uris, extensions=("mp4", "webm", "mov"), settings=SETTINGS)
    return [file.uri.removeprefix("s3://videos/") for file in found]


def error_of(uri: str, settings: FetchSettings = SETTINGS) -> MediaError:
    with pytest.raises(MediaError) as caught, fetched(uri, settings):
        pass
    return caught.value


def test_folders_patterns_and_names(bucket: fs.S3FileSystem) -> None:
    below_a = ["a/[x].mp4", "a/b.mp4", "a/c d?x#1%20.webm", "a/deep/e.MP4"]
    assert sorted(names("s3://videos/a/")) == sorted(names("s3://videos/a")) == below_a
    assert sorted(names("s3://videos")) == sorted(names("s3://videos/")) == [*below_a, "top.mov"]
    assert names("s3://videos/a/*.webm") == ["a/c d?x#1%20.webm"]
    assert sorted(names("s3://videos/**/*.mp4")) == ["a/[x].mp4", "a/b.mp4"]
    assert names("s3://videos/a/[x].mp4", "s3://videos/a/notes.txt") == ["a/[x].mp4", "a/notes.txt"]
    for nothing in ("s3://videos/none.mp4", "s3://videos/*.avi", "s3://none/", "s3:///a.mp4"):
        with pytest.raises(InputError, match=nothing.replace("*", r"\*")):
            names(nothing)


def test_identity(bucket: fs.S3FileSystem) -> None:
    for key in KEYS:
        file = identify_remote(f"s3a://videos/{key}", SETTINGS)
        (listed,) = find_remote([f"s3://videos/{key}"], extensions=(), settings=SETTINGS)
        assert file == listed
        assert (file.uri, file.bytes) == (f"s3://videos/{key}", len(key.encode()))
        assert file.modified is not None and abs(file.modified.timestamp() - time.time()) < 300
    assert identify_remote("s3://videos/none.mp4", SETTINGS).bytes is None


@pytest.mark.parametrize("key", KEYS)
def test_objects_under_any_name(bucket: fs.S3FileSystem, key: str) -> None:
    with fetched(f"s3a://key:se/cret@videos/{key}", SETTINGS) as path:
        assert path.read_bytes() == key.encode()
    assert not path.exists()


def test_a_large_object_comes_whole_and_one_above_the_quota_not_at_all(bucket: fs.S3FileSystem, tmp_path: Path) -> None:
    content = bytes(range(251)) * 80_000  # 20 MB: several requests
    with bucket.open_output_stream("videos/large.mp4") as stream:
        stream.write(content)
    with fetched("s3://videos/large.mp4", SETTINGS) as path:
        assert path.read_bytes() == content
    error = error_of("s3://videos/large.mp4", SETTINGS.model_copy(update={"quota_bytes": len(content) - 1}))
    assert (error.error_class, error.transient) == ("fetch_too_large", False)
    bucket.delete_file("videos/large.mp4")


@pytest.mark.parametrize("place", ["videos/none.mp4", "videos/a", "none/a.mp4", "videos/a//b.mp4", "/a.mp4"])
def test_what_is_not_there(bucket: fs.S3FileSystem, place: str) -> None:
    error = error_of(f"s3://me:pw@{place}")
    assert (error.error_class, error.transient) == ("fetch_not_found", False)
    assert "pw" not in str(error)


@pytest.mark.parametrize(
    ("bucket_name", "error_class", "transient"),
    [("403", "fetch_refused", False), ("503", "fetch_failed", True), ("silent", "fetch_failed", True)],
)
def test_a_server_that_misbehaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket_name: str, error_class: str, transient: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serve() as web:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{web.address}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        settings = SETTINGS.model_copy(update={"stall_s": 1})
        error = error_of(f"s3://{bucket_name}/a.mp4", settings)
        assert (error.error_class, error.transient) == (error_class, transient)
        with pytest.raises(InputError, match=f"s3://{bucket_name}/a.mp4"):
            find_remote([f"s3://{bucket_name}/a.mp4"], extensions=(), settings=settings)
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_stops_coming(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serve() as web:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{web.address}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        error = error_of("s3://short/a.mp4", SETTINGS.model_copy(update={"stall_s": 1}))
    assert (error.error_class, error.transient) == ("fetch_failed", True)
