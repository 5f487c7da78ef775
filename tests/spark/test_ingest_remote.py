"""ingest of videos on other machines: servers on loopback, asked by Spark's workers."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from http_server import BODY, serve
from pyspark.sql import Row
from s3_server import serve_s3

from avlib import tables
from avlib.config import load_settings
from avlib.errors import InputError
from avlib.spark import ingest
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

SETTINGS = load_settings(assignments=["fetch.allow_private=true", "fetch.stall_s=6.0"])


def video_rows(store: TableStore) -> dict[str, Row]:
    return {row["uri"]: row for row in store.read(tables.VIDEOS).collect()}


def test_web_videos_by_name_and_by_manifest(store: TableStore, tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    with serve() as web:
        there = [web.url(f"video.mp4?id={i}") for i in range(40)]
        silent = [web.url(f"silent.mp4?id={i}") for i in range(20)]
        manifest.write_text("\n".join(["uri,title", *(f"{uri}&token=abc,T" for uri in there + silent), "ftp://x/a,F"]))
        ingest.run(store, SETTINGS, [str(manifest), web.url("named.mp4").replace("//", "//me:pw@")])
        rows = video_rows(store)
        assert set(rows) == {*there, *silent, "ftp://x/a", web.url("named.mp4")}
        assert {rows[uri]["bytes"] for uri in (*there, web.url("named.mp4"))} == {len(BODY)}
        assert rows[there[0]]["modified"].astimezone(UTC) == datetime(2026, 11, 21, 7, tzinfo=UTC)
        assert rows[there[0]]["metadata"] == {"title": "T"}
        assert {rows[uri]["bytes"] for uri in (*silent, "ftp://x/a")} == {None}
        assert all(line.startswith("HEAD") for line in web.asked)
    version = store.version(tables.VIDEOS)
    ingest.run(store, SETTINGS, [str(manifest)])  # nobody answers: nothing has changed
    assert store.version(tables.VIDEOS) == version


def test_private_addresses_are_not_asked(store: TableStore) -> None:
    with serve() as web:
        ingest.run(store, load_settings(), [web.url("video.mp4")])
        assert video_rows(store)[web.url("video.mp4")]["bytes"] is None
        assert web.asked == []


def test_s3_folders_and_manifests(store: TableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_s3(monkeypatch) as files:
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            monkeypatch.setitem(store.spark.sparkContext.environment, name, os.environ[name])
        for key in ("a/x.mp4", "a/deep/y.webm", "a/z.txt", "b.mp4"):
            with files.open_output_stream(f"videos/{key}") as stream:
                stream.write(b"123")
        manifest = tmp_path / "list.csv"
        manifest.write_text("uri,title\ns3a://videos/b.mp4,B\ns3://videos/gone.mp4,G\n")
        ingest.run(store, SETTINGS, ["s3://videos/a/", str(manifest)])
        rows = video_rows(store)
        assert {uri.removeprefix("s3://videos/"): row["bytes"] for uri, row in rows.items()} == {
            "a/x.mp4": 3,
            "a/deep/y.webm": 3,
            "b.mp4": 3,
            "gone.mp4": None,
        }
        assert rows["s3://videos/b.mp4"]["metadata"] == {"title": "B"}
        version = store.version(tables.VIDEOS)
        ingest.run(store, SETTINGS, ["s3a://videos/a/", "s3://videos/b.mp4"])
        assert store.version(tables.VIDEOS) == version
        with pytest.raises(InputError, match="s3://videos/none/: no such object or folder"):
            ingest.run(store, SETTINGS, ["s3://videos/none/"])


def test_a_manifest_elsewhere_is_to_be_copied(store: TableStore) -> None:
    with pytest.raises(InputError, match=r"s3://videos/list\.csv: manifests are read from local paths"):
        ingest.run(store, SETTINGS, ["s3://videos/list.csv"])
