"""Which videos `avlib forget` takes a name for. No Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from avlib.errors import InputError
from avlib.spark.forget import choose

URIS = {
    0: "/a/v[1].mp4",
    1: "/a/v1.mp4",
    2: "/a/b/what?.mp4",
    3: "/a/b/whats.mp4",
    4: "/c*/one.mp4",
    5: "/cd/one.mp4",
    6: "s3://bucket/a/v1.mp4",
    7: "s3://bucket/ab/v1.mp4",
    8: "file:///d/%FF.mp4",
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/a/v[1].mp4", {0}),
        ("/a/v[0-9].mp4", {1}),
        ("/a/b/what?.mp4", {2}),
        ("/c*", {4}),
        ("/c?/*", {4, 5}),
        ("/a/b/../b", {2, 3}),
        ("/a", {0, 1, 2, 3}),
        ("/*/v1.mp4", {1}),
        ("s3a://bucket/a/", {6}),
        ("s3://bucket/a*", {6, 7}),
        ("/d", {8}),
        ("file:///d/%FF.mp4", {8}),
    ],
)
def test_a_name_is_a_pattern_only_where_nothing_has_it(given: str, expected: set[int]) -> None:
    assert set(choose(URIS, [given], missing=False)) == expected


@pytest.mark.parametrize("given", ["", "/", "//", "file:///", "s3://", "*.mp4", "v1.mp4", "mp4", "bucket", "s3:", "/e"])
def test_what_names_no_video_takes_none(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        choose(URIS, ["/a/v1.mp4", given], missing=False)


def test_names_count_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uris = {0: f"{tmp_path}/a.mp4", 1: f"{tmp_path}/b.avi", 2: f"{tmp_path}2/a.mp4"}
    for given, expected in {"a.mp4": {0}, "*.mp4": {0}, ".": {0, 1}, "../*/a.mp4": {0, 2}}.items():
        assert set(choose(uris, [given], missing=False)) == expected


def test_missing_videos_but_not_all(tmp_path: Path) -> None:
    there, gone = tmp_path / "there.mp4", str(tmp_path / "gone.mp4")
    there.touch()
    remote = {2: "s3://bucket/a.mp4"}
    assert set(choose({0: str(there), 1: gone} | remote, [], missing=True)) == {1}
    assert choose(remote, [], missing=True) == {}
    there.unlink()
    uris = {0: str(there), 1: gone} | remote
    with pytest.raises(InputError, match=r"all local videos \(2\) are; is what they lie on mounted"):
        choose(uris, [gone], missing=True)
    assert set(choose(uris, [str(tmp_path)], missing=False)) == {0, 1}
