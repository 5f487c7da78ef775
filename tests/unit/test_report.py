"""The report: what it reads from a warehouse, which samples it shows, and that the page stands alone."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import av
import deltalake
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_files import write_flash_and_click
from PIL import Image

from avlib import tables
from avlib.config import load_settings
from avlib.errors import ParameterError, WarehouseError
from avlib.evaluation import Labels, RetrievalRates, read_kept, read_labels, read_run, read_samples, read_visual
from avlib.identity import sample_ids
from avlib.inspection import read_status
from avlib.models import StoredModel, write_model
from avlib.report import RateRow, read_findings, write_report
from avlib.report.clips import encode_mp3
from avlib.report.picks import largest_components, spread_over_videos
from avlib.retrieval.answers import Answer
from avlib.retrieval.suggest import Suggestion
from avlib.sources import Sources
from avlib.tables import Table
from avlib.warehouse import Warehouse

ODD_NAME = """<b onload=x>'"&{{ 7*7 }}.mkv"""


def _write(folder: Path, table: Table, rows: list[dict[str, object]]) -> None:
    place = table.path(str(folder), "default")
    version = {tables.SCHEMA_VERSION_PROPERTY: str(tables.SCHEMA_VERSION)}
    deltalake.DeltaTable.create(place, table.schema, configuration=version, raise_if_key_not_exists=False)
    deltalake.write_deltalake(place, pa.Table.from_pylist(rows, schema=table.schema), mode="append")


def _append(folder: Path, table: Table, rows: list[dict[str, object]]) -> None:
    place = table.path(str(folder), "default")
    deltalake.write_deltalake(place, pa.Table.from_pylist(rows, schema=table.schema), mode="append")


def _described(video_id: int, attempt: int, status: str = "ok") -> dict[str, object]:
    needed = {"input_hash": "x", "described_with": "w", "audio_status": "ok", "visual_status": "ok", "samples": 4}
    return {"video_id": video_id, "attempt": attempt, "status": status, "error": "why"} | needed


def _sample(sample_id: int, time_s: float, attempt: int = 1) -> dict[str, object]:
    found = {"visual": [time_s, 1.0], "audio_mfcc65": [0.0], "audio_context": [0.0]}
    return {"sample_id": sample_id, "attempt": attempt, "time_s": time_s, "rms": 0.1} | found


def _run(stage: str, second: int, seconds: float, settings: str = "[]") -> dict[str, object]:
    started = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
    name = "default" if stage == "filter" else ""
    versions = {"inputs": {"samples": 1, "descriptions": 1}, "outputs": {"collection": 1}}  # made, then filled
    told = {"fingerprint": "x", "code_version": "0", "summary": f"<i>{stage}</i>", "host": "h", "rows": 0, "bytes": 0}
    told |= versions
    return {"stage": stage, "filter_name": name, "settings": settings, "started": started, "seconds": seconds} | told


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of two videos, four samples each; the first video's were kept, as one component."""
    root = tmp_path_factory.mktemp("report")
    video = root / ODD_NAME
    write_flash_and_click(video, video_codec="mpeg4", audio_codec="aac", times_s=[1.0], duration_s=4.0)
    gone = str(root / "gone.mp4")
    ids = [sample_ids(v, np.arange(4, dtype=np.int64) * 25).tolist() for v in (0, 1)]
    _write(root, tables.VIDEOS, [{"video_id": v, "uri": u, "metadata": {}} for v, u in ((0, str(video)), (1, gone))])
    _write(root, tables.DESCRIPTIONS, [_described(0, 1), _described(0, 2), _described(1, 1, "partial")])
    stale = [_sample(ids[0][0], 0.0, attempt=1)]
    live = [_sample(s, float(t), attempt=2) for t, s in enumerate(ids[0])]
    _write(root, tables.SAMPLES, [_sample(s, float(t)) for t, s in enumerate(ids[1])] + stale + live)
    members = [(0, ids[0] + ids[1], ids[0][0]), (1, ids[0], ids[0][0])]
    components = [{"step": t, "sample_id": s, "component_id": c} for t, kept, c in members for s in kept]
    _write(root, tables.COMPONENTS, components)
    edges = [(0, ids[0][0], ids[0][1]), (0, ids[0][1], ids[0][2]), (1, ids[0][0], ids[0][1])]
    _write(root, tables.MUTUAL_EDGES, [{"step": t, "src": a, "dst": b, "distance": 0.5} for t, a, b in edges])
    about = {"video_id": 0, "uri": str(video), "component_ids": [0, 0], "visual": [0.0, 1.0], "audio": [0.0]}
    about |= {"audio_descriptor": "audio_mfcc65"}
    kept_rows = [
        {"sample_id": s, "time_s": float(t), "metadata": {}, "described_with": "w"} | about
        for t, s in enumerate(ids[0])
    ]
    _write(root, tables.COLLECTION, kept_rows)
    chosen = load_settings(assignments=["filter.strategy=A+V"]).filter.chosen.model_dump(mode="json")
    filter_run = _run("filter", 20, 5.0, json.dumps([chosen]))
    # descriptor_stats ran inside describe; an older ingest is no longer of interest
    others = [_run("ingest", 0, 9.0), _run("ingest", 10, 1.0), _run("describe", 12, 6.0)]
    _write(root, tables.RUNS, [*others, _run("descriptor_stats", 14, 3.0), filter_run])
    write_model(StoredModel("hog_color", None, "x", 224), warehouse=str(root), described_with="w")
    return root


@pytest.fixture(scope="module")
def labels(folder: Path) -> Labels:
    path = folder / "labels.csv"
    quoted = ODD_NAME.replace('"', '""')
    path.write_text(
        "video,start_s,end_s,picture_category,sound_category,is_clean\n"
        f'"{quoted}",0,3,a<b,a<b,1\n"{quoted}",3,9,a<b,sea,0\ngone.mp4,0,9,sea,dog,0\n'
    )
    return read_labels(path)


def test_status_tells_what_is_gone(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "W"
    shutil.copytree(folder, root)
    _append(root, tables.RUNS, [_run("index", 30, 1.0), _run("learn", 30, 1.0)])
    (root / "filters" / "default copy").mkdir()

    def states() -> dict[str, str]:
        return {run.stage: run.state for run in read_status(str(root)).runs if run.state}

    assert states()["index"] == "gone, make it again by avlib index"
    assert states()["learn"] == "gone, make it again by avlib learn"
    for made in ("index/default/manifest.json", "models/audio_learned.json"):
        (root / made).parent.mkdir(parents=True, exist_ok=True)
        (root / made).write_text("{}")
    assert states()["index"] == states()["learn"] == "up to date"
    assert states()["filter"] == "up to date"
    shutil.rmtree(root / "filters" / "default")
    assert states()["filter"] == "removed"


class _Page(HTMLParser):
    """Tags with their attributes, and the text of every script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts.append(data)
        else:
            self.text += data


@pytest.fixture(scope="module")
def page(folder: Path, labels: Labels, sources: Sources) -> _Page:
    query = folder / "dog" / "q<1>.png"
    query.parent.mkdir()
    Image.new("RGB", (60, 40), (200, 30, 30)).save(query)
    found = Suggestion(1, str(folder / ODD_NAME), 2.0, 0.25, int(sample_ids(0, np.array([50]))[0]))
    answers = [Answer(str(query), (found,)), Answer("nothing.png", error="no picture")]
    rates = [RateRow("kept & <clean>", RetrievalRates(1, 5, 1.0, 0.5, 1.0, 1.0))]
    findings = read_findings(Warehouse(str(folder)), labels=labels)
    page = folder / "new" / "report.html"
    to = write_report(page, findings, sources=sources, title="<T>", note="<N>", answers=answers, rates=rates)
    return _Page(to.read_text(encoding="utf-8"))


def test_samples_are_those_of_the_newest_attempt(folder: Path) -> None:
    warehouse = Warehouse(str(folder))
    samples = read_samples(warehouse)
    assert samples.times_s.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert samples.videos.tolist() == [ODD_NAME] * 4 + ["gone.mp4"] * 4
    np.testing.assert_array_equal(read_visual(warehouse), np.stack([samples.times_s, np.ones(8)], axis=1))
    assert read_kept(warehouse, samples).tolist() == [True] * 4 + [False] * 4


def test_a_run_is_of_the_samples_it_began_with(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "W"
    shutil.copytree(folder, root)
    _append(root, tables.DESCRIPTIONS, [_described(1, 2)])
    _append(root, tables.SAMPLES, [_sample(int(sample_ids(1, np.array([9]))[0]), 0.4, attempt=2)])
    assert read_samples(Warehouse(str(root))).times_s.tolist() == [0, 1, 2, 3, 0.4]
    samples, kept = read_run(Warehouse(str(root)))
    assert samples.times_s.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert kept.tolist() == [True] * 4 + [False] * 4
    collection = deltalake.DeltaTable(tables.COLLECTION.path(str(root), "default"))
    collection.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert deltalake.DeltaTable(collection.table_uri).version() > 0  # a commit, which changes no row
    np.testing.assert_array_equal(read_run(Warehouse(str(root)))[1], kept)
    for file in root.glob("samples/*.parquet"):
        file.unlink()
    with pytest.raises(
        WarehouseError, match="was made from are there no more; run `avlib filter --name default` again"
    ):
        read_run(Warehouse(str(root)))
    _append(root, tables.COLLECTION, [])
    with pytest.raises(WarehouseError, match="the collection default is not as `avlib filter` left it"):
        read_run(Warehouse(str(root)))


def test_findings_of_a_filter_run(folder: Path, labels: Labels) -> None:
    found = read_findings(Warehouse(str(folder)), labels=labels)
    assert found.outcomes == {"ok": 1, "partial": 1}
    counts = [(s.number, s.compares, s.samples_in, s.edges, s.components, s.samples_out) for s in found.steps]
    assert counts == [(0, "sounds", 8, 2, 1, 8), (1, "pictures", 8, 1, 1, 4)]
    assert [step.clean and step.clean.share for step in found.steps] == [3 / 8, 3 / 4]
    assert found.clean_before and found.clean_before.share == 3 / 8
    assert found.clean_after and found.clean_after.share == 3 / 4
    assert [run.stage for run in found.runs] == ["ingest", "describe", "descriptor_stats", "filter"]
    assert [run.inside for run in found.runs] == [False, False, True, False]
    assert found.seconds == 1 + 6 + 5
    assert found.visual_descriptor == "hog_color: classical, no network"
    assert found.sound_descriptor.startswith("audio_mfcc65: 13 MFCCs")


def test_a_warehouse_that_was_not_filtered_is_refused(folder: Path) -> None:
    with pytest.raises(WarehouseError, match="avlib filter --name other"):
        read_findings(Warehouse(str(folder), name="other"))


def test_the_page_asks_for_nothing_outside_it(page: _Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "base"), tag
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    policies = [a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies and str(policies[0]).startswith("default-src 'none'")
    assert "http://" not in page.scripts[1] and "https://" not in page.scripts[1]


def test_everything_is_escaped(page: _Page) -> None:
    assert not [tag for tag, attributes in page.tags if tag in ("b", "t", "clean", "i") and "onload" in attributes]
    assert {"b", "t", "n", "clean"}.isdisjoint(tag for tag, _ in page.tags)
    for text in ("<T>", "<N>", ODD_NAME, "a<b seen, sea heard", "kept & <clean>", "dog/q<1>.png", "<i>filter</i>"):
        assert text in page.text


def test_numbers_and_names_are_on_the_page(page: _Page) -> None:
    text = re.sub(r"\s+", " ", page.text)
    assert "From 2 videos avlib took 8 samples" in text
    assert "38% of all samples are clean, and 75% of those kept" in text
    assert "hog_color: classical, no network" in text
    assert "Strategy A+V" in text and "Component 0" in text and "after step 1, pictures" in text
    assert "↳ descriptor_stats" in text and "↳ describe" not in text
    assert "nothing.png" not in text


def test_every_sound_plays_and_is_there_once(page: _Page) -> None:
    sounds = json.loads(page.scripts[0])
    buttons = [attributes for tag, attributes in page.tags if tag == "button"]
    assert {b["data-sound"] for b in buttons if "data-sound" in b} == set(sounds)
    assert sum("disabled" in b for b in buttons) == 4  # the video that is gone
    assert sum("data-sound" in b for b in buttons) == 4 + 1  # one sample is shown twice
    assert len(sounds) == 4
    for uri in sounds.values():
        with av.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:audio/mpeg;base64,")))) as container:
            samples = sum(frame.samples for frame in container.decode(audio=0))
            assert samples / container.streams.audio[0].rate == pytest.approx(2, abs=0.1)


def test_pictures_are_jpegs_of_one_size(page: _Page) -> None:
    pictures = [str(attributes["src"]) for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 4 + 1 + 1  # component, suggestion, query
    for uri in pictures:
        content = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
        assert Image.open(io.BytesIO(content)).size == (144, 144)


def test_without_labels_nothing_is_said_of_cleanness(folder: Path, sources: Sources) -> None:
    findings = read_findings(Warehouse(str(folder)))
    html = write_report(folder / "plain.html", findings, sources=sources, title="plain").read_text(encoding="utf-8")
    page = _Page(html)
    assert findings.clean_before is None
    assert "labels" not in page.text
    assert "Clean before" not in page.text


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (44100, 2), (48000, 1)])
def test_mp3_holds_the_sound(rate_hz: int, channels: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * rate_hz) / rate_hz)
    content = encode_mp3(np.repeat(tone[:, None], channels, axis=1).astype(np.float32), sample_rate_hz=rate_hz)
    assert len(content) < 16_000
    with av.open(io.BytesIO(content)) as container:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        rate = container.streams.audio[0].rate
    middle = heard[len(heard) // 4 : len(heard) * 3 // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.fft.rfftfreq(len(middle), 1 / rate)[spectrum.argmax()] == pytest.approx(1000, abs=5)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_largest_components_come_first() -> None:
    ids = np.array([7, 7, -1, 3, 3, 9, -1, -1, -1])
    assert [rows.tolist() for rows in largest_components(ids, count=2)] == [[3, 4], [0, 1]]
    assert largest_components(np.array([-1, -1]), count=3) == []
    with pytest.raises(ParameterError):
        largest_components(ids, count=0)


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 12))
def test_picks_are_spread_over_as_many_videos_as_can_be(numbers: list[int], count: int) -> None:
    videos = np.array([f"v{number}" for number in sorted(numbers)], dtype=np.str_)
    rows = np.arange(len(videos), dtype=np.int64) * 3
    picked = spread_over_videos(rows, videos, count=count)
    assert len(picked) == min(count, len(rows)) == len(set(picked.tolist()))
    assert np.isin(picked, rows).all()
    assert len(set(videos[picked // 3].tolist())) == min(count, len(set(numbers)))


def test_picks_within_a_video_are_evenly_apart() -> None:
    rows = np.arange(9, dtype=np.int64)
    assert spread_over_videos(rows, np.array(["v"] * 9), count=3).tolist() == [1, 4, 7]
