"""What counts as an input on the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from avlib.errors import InputError
from avlib.inputs import find_inputs, identify, is_local, local_path, read_manifest, uri_of, without_credentials

EXTENSIONS = ("mp4", "webm")


def names(folder: Path, *arguments: str) -> list[str]:
    found = find_inputs([str(folder / argument) for argument in arguments], extensions=EXTENSIONS)
    return [os.path.relpath(file.uri, folder) for file in found.files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "a.mp4",
        "B.MP4",
        "c.txt.gz",
        "x[1].mp4",
        "sub/d.webm",
        "sub/e.jpg",
        "folder.mp4/inside.mp4",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    return tmp_path


def test_a_folder_is_walked_and_a_folder_named_like_a_video_is_one_input(folder: Path) -> None:
    assert names(folder, "") == ["B.MP4", "a.mp4", "folder.mp4", "sub/d.webm", "x[1].mp4"]
    inside = find_inputs([str(folder / "folder.mp4")], extensions=EXTENSIONS).files
    assert [file.bytes for file in inside] == [None]


def test_globs_and_names_with_brackets(folder: Path) -> None:
    assert names(folder, "*.mp4") == ["a.mp4", "folder.mp4", "x[1].mp4"]
    assert names(folder, "**/*.webm") == ["sub/d.webm"]
    assert names(folder, "x[1].mp4") == ["x[1].mp4"]


def test_a_file_named_directly_is_an_input_whatever_its_extension(folder: Path) -> None:
    assert names(folder, "sub/e.jpg") == ["sub/e.jpg"]


def test_manifests_are_told_apart(folder: Path) -> None:
    (folder / "list.csv").write_text("uri\n")
    found = find_inputs([str(folder / "list.csv")], extensions=EXTENSIONS)
    assert (found.files, found.manifests) == ((), (folder / "list.csv",))


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_inputs([str(tmp_path / "*.mp4")], extensions=EXTENSIONS)
    with pytest.raises(InputError, match=r"no video found in .*mp4, webm"):
        find_inputs([str(tmp_path)], extensions=EXTENSIONS)


def test_a_link_upwards_does_not_end_in_a_loop(folder: Path) -> None:
    (folder / "sub" / "up").symlink_to(folder)
    assert names(folder, "sub") == ["sub/d.webm"]


@pytest.mark.parametrize("name", ["plain.mp4", "odd name (Ü, 日本語) #1 & 50% 'q'.webm", os.fsdecode(b"bad-\xff.mp4")])
def test_a_uri_leads_back_to_its_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"12")
    uri = uri_of(path)
    uri.encode()  # can be stored
    assert local_path(uri) == path
    assert identify(local_path(uri)).bytes == 2


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("s3://key:secret@bucket/a.mp4", "s3://bucket/a.mp4"),
        ("https://user:pw@host/v?id=7&token=abc", "https://host/v?id=7"),
        ("https://host/v?X-Amz-Signature=1&x=%20b", "https://host/v?x=+b"),
        ("https://host/plain.mp4", "https://host/plain.mp4"),
        ("https://host/v?key=AIzaSyD-9tSrke72PouQMnMX&apiKey=1&v=2", "https://host/v?v=2"),
        ("https://host/v?key=clips/1.mp4&keyword=dog&monkey=1", "https://host/v?key=clips/1.mp4&keyword=dog&monkey=1"),
        ("https://host/v?id=%20&flag", "https://host/v?id=%20&flag"),
        ("https://me:pw@[::1/x", "https://[::1/x"),
        ("s3://key:sec/ret@bucket/a@b.mp4?x#y", "s3://bucket/a@b.mp4?x#y"),
        ("s3://bucket/a@b.mp4?x=1&key#y", "s3://bucket/a@b.mp4?x=1&key#y"),
    ],
)
def test_credentials_are_never_stored(given: str, stored: str) -> None:
    assert without_credentials(given) == stored


def test_remote_inputs_are_told_apart_and_have_one_name(folder: Path) -> None:
    given = ["s3a://bucket/a/", "s3://me:pw@bucket/a/", "HTTPS://host/v?token=x", str(folder / "a.mp4")]
    found = find_inputs(given, extensions=EXTENSIONS)
    assert found.remote == ("https://host/v", "s3://bucket/a/")
    assert [Path(file.uri).name for file in found.files] == ["a.mp4"]
    with pytest.raises(InputError, match=r"list\.csv: manifests are read from local paths"):
        find_inputs(["https://host/list.csv"], extensions=EXTENSIONS)


def test_manifest_rows(tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text('\ufeffuri,title,licence\n"a, b.mp4","two\nlines",\n,no uri,CC0\n file:///x%20y.mp4,,CC0\n')
    rows = read_manifest(manifest).to_pylist()
    assert rows == [
        {"uri": str(tmp_path / "a, b.mp4"), "metadata": [("title", "two\nlines")]},
        {"uri": "/x y.mp4", "metadata": [("licence", "CC0")]},
    ]
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"bad\.parquet: cannot be read as a manifest"):
        read_manifest(tmp_path / "bad.parquet")


@pytest.mark.parametrize("uri", ["file://h/x%00y.mp4", "a\0b.mp4", "file://[abc/x.mp4", "http://[abc/x.mp4"])
def test_odd_names_in_a_manifest_are_files_that_are_not_there(tmp_path: Path, uri: str) -> None:
    (tmp_path / "list.txt").write_text(f"{uri}\nb.mp4\n")
    (tmp_path / "b.mp4").write_bytes(b"12")
    odd, plain = (row["uri"] for row in read_manifest(tmp_path / "list.txt").to_pylist())
    assert identify(local_path(plain)).bytes == 2
    if is_local(odd):
        assert identify(local_path(odd)).bytes is None


def test_schemes_that_cannot_be_read_are_named() -> None:
    with pytest.raises(InputError, match="s3://"):
        local_path("s3://bucket/a.mp4")
    assert local_path("file:///a%20b.mp4") == Path("/a b.mp4")
