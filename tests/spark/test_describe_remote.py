"""describe of videos on other machines: servers on loopback, asked by Spark's workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from http_server import serve
from pyspark.sql import Row
from s3_server import serve_s3

from avlib import tables
from avlib.config import Settings, load_settings
from avlib.spark import describe, ingest
from avlib.spark.samples import latest_descriptions, live_samples
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


def settings(*assignments: str) -> Settings:
    usual = ["describe.visual_model=hog_color", "describe.frame_stride=5", "fetch.allow_private=true"]
    return load_settings(assignments=[*usual, "fetch.stall_s=6.0", *assignments])


def described(store: TableStore, settings: Settings) -> dict[str, Row]:
    """The newest description of every video, by its URI."""
    describe.run(store, settings)
    videos = store.read(tables.VIDEOS).select("video_id", "uri")
    return {row["uri"]: row for row in latest_descriptions(store).join(videos, "video_id").collect()}


def sample_count(store: TableStore) -> int:
    return live_samples(store).count()


def test_web_videos(store: TableStore, tmp_path: Path, video: bytes) -> None:
    manifest = tmp_path / "list.txt"
    with serve(body=video) as web:
        there, again = web.url("a.mp4"), web.url("video.mp4")
        gone, busy, short = web.url("404.mp4"), web.url("503.mp4"), web.url("short.mp4")
        manifest.write_text("\n".join(f"{uri}?token=abc" for uri in (there, again, gone, busy, short)))
        ingest.run(store, settings(), [str(manifest)])
        found = described(store, settings())
        said = {uri: (row["status"], row["error_class"], row["transient"]) for uri, row in found.items()}
        assert said == {
            there: ("ok", None, None),
            again: ("duplicate", "duplicate", False),
            gone: ("failed", "fetch_not_found", False),
            busy: ("failed", "fetch_failed", True),
            short: ("failed", "fetch_failed", True),
        }
        assert "503" in found[busy]["error"] and sample_count(store) == found[there]["samples"] > 20
        web.asked.clear()
        built_on = (tables.DESCRIPTIONS, tables.SAMPLES, tables.DESCRIPTOR_STATS)
        before = [store.last_change(table) for table in built_on]
        found = described(store, settings())  # what failed in passing is tried again, and nothing else is asked for
        assert {uri: row["attempt"] for uri, row in found.items() if row["attempt"] > 1} == {busy: 2, short: 2}
        assert {line.split("/")[1].partition("?")[0] for line in web.asked} == {"503.mp4", "short.mp4"}
        assert [store.last_change(table) for table in built_on] == before  # so no later stage is run for them


def test_private_addresses_are_refused(store: TableStore, video: bytes) -> None:
    with serve(body=video) as web:
        refusing = settings("fetch.allow_private=false")
        ingest.run(store, refusing, [web.url("video.mp4")])
        row = described(store, refusing)[web.url("video.mp4")]
        assert (row["status"], row["error_class"], row["transient"]) == ("failed", "fetch_refused", False)
        assert "fetch.allow_private" in row["error"] and web.asked == []


def test_videos_in_a_bucket(store: TableStore, tmp_path: Path, video: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, and in slices that each fetch it anew; the rows are those of the file itself."""
    local = tmp_path / "inputs"
    local.mkdir()
    (local / "flash.mp4").write_bytes(video)
    sliced = settings("describe.slice_s=10")
    ingest.run(store, sliced, [str(local)])
    describe.run(store, sliced)
    expected = rows(store)
    with serve_s3(monkeypatch) as files:
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            monkeypatch.setitem(store.spark.sparkContext.environment, name, os.environ[name])
        with files.open_output_stream("videos/flash.mp4") as stream:
            stream.write(video)
        manifest = tmp_path / "list.txt"
        manifest.write_text("s3://videos/flash.mp4\ns3://videos/gone.mp4\n")
        remote = TableStore(store.spark, str(tmp_path / "remote"))
        ingest.run(remote, sliced, [str(manifest)])
        found = described(remote, sliced)
    there, gone = found["s3://videos/flash.mp4"], found["s3://videos/gone.mp4"]
    assert (there["status"], there["covered_s"]) == ("ok", pytest.approx(24.0, abs=0.1))
    assert (gone["status"], gone["error_class"]) == ("failed", "fetch_not_found")
    assert rows(remote) == expected and len(expected) == there["samples"]


def rows(store: TableStore) -> list[tuple[object, ...]]:
    """What samples hold, by time."""
    return sorted((row["time_s"], row["rms"], *row["audio_mfcc65"]) for row in live_samples(store).collect())
