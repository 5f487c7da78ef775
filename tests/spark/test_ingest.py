"""ingest: one row per input, ids that stay, manifests whose other columns pass through."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avlib import tables
from avlib.config import load_settings
from avlib.errors import InputError
from avlib.spark import ingest
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


def video_rows(store: TableStore) -> dict[str, dict[str, object]]:
    rows = store.read(tables.VIDEOS).collect()
    assert len({row["video_id"] for row in rows}) == len(rows)
    return {Path(row["uri"]).name: row.asDict() for row in rows}


def test_ids_stay_and_only_changes_are_written(store: TableStore, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    (folder / "deeper").mkdir(parents=True)
    (folder / "b.mp4").write_bytes(b"12")
    (folder / "deeper" / "odd [name] #1 & 50%.webm").write_bytes(b"123")
    (folder / "notes.txt.bak").write_bytes(b"no video")
    settings = load_settings()
    ingest.run(store, settings, [str(folder)])
    first = video_rows(store)
    assert {name: row["bytes"] for name, row in first.items()} == {"b.mp4": 2, "odd [name] #1 & 50%.webm": 3}

    version = store.version(tables.VIDEOS)
    ingest.run(store, settings, [str(folder), str(folder / "b.mp4")])
    assert store.version(tables.VIDEOS) == version

    (folder / "a.mov").write_bytes(b"1")
    (folder / "b.mp4").write_bytes(b"1234")
    os.utime(folder / "b.mp4", (1_000_000_000, 1_000_000_000))
    ingest.run(store, settings, [str(folder)])
    second = video_rows(store)
    assert {name: second[name]["video_id"] for name in first} == {name: first[name]["video_id"] for name in first}
    assert second["a.mov"]["video_id"] == max(row["video_id"] for row in second.values())  # type: ignore[type-var]
    assert second["b.mp4"]["bytes"] == 4


def test_two_at_once_without_locks(store: TableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on object stores: whose commit comes second numbers its videos anew."""
    monkeypatch.setattr(TableStore, "claim", lambda *_, **__: nullcontext())
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"1")
    ingest.run(store, load_settings(), [str(folders[0])])
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda folder: ingest.run(store, load_settings(), [str(folder)]), folders[1:]))
    assert sorted(row["video_id"] for row in store.read(tables.VIDEOS).collect()) == [0, 1, 2]


@pytest.mark.parametrize("kind", ["csv", "parquet", "txt"])
def test_manifests(store: TableStore, tmp_path: Path, kind: str) -> None:
    (tmp_path / "here.mp4").write_bytes(b"1")
    uris = [str(tmp_path / "here.mp4"), "here.mp4", "gone, with comma.mp4", "gs://bucket/far.mp4"]
    manifest = tmp_path / f"list.{kind}"
    licences = ["CC0", "CC0", "CC-BY", None]
    match kind:
        case "csv":
            lines = [f'"{uri}",{licence or ""}' for uri, licence in zip(uris, licences, strict=True)]
            manifest.write_text("\n".join(["uri,licence", *lines]))
        case "parquet":
            pq.write_table(pa.table({"uri": uris, "licence": licences}), manifest)
        case _:
            manifest.write_text("\n".join([*uris, "", "  "]))
    ingest.run(store, load_settings(), [str(manifest)])
    rows = video_rows(store)
    assert set(rows) == {"here.mp4", "gone, with comma.mp4", "far.mp4"}
    assert rows["here.mp4"]["bytes"] == 1
    assert rows["gone, with comma.mp4"]["bytes"] is None
    assert rows["far.mp4"]["uri"] == "gs://bucket/far.mp4"
    expected = {} if kind == "txt" else {"licence": "CC0"}
    assert rows["here.mp4"]["metadata"] == expected
    assert rows["far.mp4"]["metadata"] == {}

    ingest.run(store, load_settings(), [str(tmp_path / "here.mp4")])
    assert video_rows(store) == rows  # a bare file takes nothing away


def test_one_file_is_one_video_however_it_is_named(store: TableStore, tmp_path: Path) -> None:
    (tmp_path / "a b" / "deep").mkdir(parents=True)
    (tmp_path / "a b" / "x.mp4").write_bytes(b"1")
    manifest = tmp_path / "a b" / "deep" / "list.csv"
    manifest.write_text("uri,title\n../x.mp4,X\n")
    named = [str(tmp_path / "a b" / "deep" / ".." / "x.mp4"), str(tmp_path / "a b"), str(manifest)]
    ingest.run(store, load_settings(), named)
    assert video_rows(store).keys() == {"x.mp4"}
    assert video_rows(store)["x.mp4"]["metadata"] == {"title": "X"}


def test_an_empty_manifest_names_no_video(store: TableStore, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("uri\n")
    with pytest.raises(InputError, match="no video found"):
        ingest.run(store, load_settings(), [str(tmp_path / "list.csv")])


def test_a_manifest_without_uri(store: TableStore, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\na.mp4")
    with pytest.raises(InputError, match="needs a column uri, this one has path"):
        ingest.run(store, load_settings(), [str(tmp_path / "list.csv")])
