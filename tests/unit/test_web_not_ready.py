"""A warehouse whose index does not fit its collection, or is empty: the page says so, and answers once it does."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import soundfile
from page_server import assert_plain, served, wait_until
from small_warehouse import RATE_HZ, SmallWarehouse, make_warehouse, sounds

from avlib import tables
from avlib.config import load_settings
from avlib.errors import WarehouseError
from avlib.media import IsolatedVideo, open_picture
from avlib.retrieval.index import index_folder, read_manifest
from avlib.retrieval.sounds import Sound, cut
from avlib.retrieval.suggest import Suggester, Wish
from avlib.warehouse import Warehouse
from avlib.web import Engine
from avlib.web.engine import VideoStretch

SETTINGS = load_settings()


def test_an_index_that_does_not_fit_is_said_and_forgotten_once_it_does(tmp_path: Path) -> None:
    made = make_warehouse(tmp_path)
    query = {"picture": made.queries["red"].read_bytes()}
    rows = tables_of(made)
    with served(made.uri, SETTINGS) as page:
        reply = page.post("/api/sounds", query, top=1)
        sound = reply.values["suggestions"][0]["sound"]
        assert (reply.status, page.get(sound).status) == (200, 200)
        made.write_collection(rows)  # the same rows: the next version all the same
        wait_until(lambda: page.post("/api/sounds", query, top=1).status == 409)
        said = page.get("/api/collection").values["error"]
        assert said == "the index is older than the collection; run `avlib index` again"
        assert page.get(sound).status == 409  # though it was made already
        manifest = Path(made.uri, "index", "default", "manifest.json")
        manifest.write_text(manifest.read_text().replace('"collection_version": 0', '"collection_version": 1'))
        assert page.post("/api/sounds", query, top=1).status == 200
        manifest.write_text(manifest.read_text().replace('"collection_version": 1', '"collection_version": 2'))
    with served(made.uri, SETTINGS) as page:
        reply = page.post("/api/sounds", query, top=1)
        assert (reply.status, reply.values["error"].split(";")[0]) == (409, "the index is newer than the collection")
        manifest.write_text("{")
        reply = page.post("/api/sounds", query, top=1)
        assert reply.status == 409
        assert_plain(reply.values["error"])


def test_a_collection_that_was_removed_and_made_again_is_another(tmp_path: Path) -> None:
    made = make_warehouse(tmp_path)
    rows = tables_of(made)
    shutil.rmtree(tables.COLLECTION.path(made.uri, "default"))
    made.write_collection(rows)  # version 0, as before
    with pytest.raises(WarehouseError, match="the index is of another collection; run `avlib index` again"):
        Suggester(Warehouse(made.uri), SETTINGS.suggest)


def test_a_sound_of_an_earlier_collection_is_not_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collection is replaced, and indexed, while a request cuts its sound."""
    made = make_warehouse(tmp_path)
    engine = Engine(Warehouse(made.uri), SETTINGS)
    monkeypatch.setattr("avlib.web.engine._CHECK_EVERY_S", 0.0)
    manifest = Path(made.uri, "index", "default", "manifest.json")
    cuts: list[float] = []

    def replacing(video: IsolatedVideo, time_s: float, **wanted: object) -> Sound:
        if not cuts:
            made.write_collection(tables_of(made))
            manifest.write_text(manifest.read_text().replace('"collection_version": 0', '"collection_version": 1'))
        cuts.append(time_s)
        return cut(video, time_s, **wanted)  # type: ignore[arg-type]

    monkeypatch.setattr("avlib.web.engine.cut", replacing)
    try:
        (one,) = engine.sounds_for(made.queries["red"].read_bytes(), Wish(1, 1.0))["suggestions"]  # type: ignore[misc]
        stretch = VideoStretch(int(one["sample_id"]), one["start_s"], one["duration_s"])
        for calls in (2, 2):  # cut again, of the collection that is there; then from the cache
            engine.wav(stretch)
            assert len(cuts) == calls
    finally:
        engine.close()


def make_anew(made: SmallWarehouse) -> None:
    """Another index of the same collection: its files have other names, those before are gone."""
    folder = Path(made.uri, "index", "default")
    (folder / "v0-s0-test").rename(folder / "v0-s0-anew")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("v0-s0-test", "v0-s0-anew"))


def test_an_index_that_was_made_anew_is_opened(tmp_path: Path) -> None:
    made = make_warehouse(tmp_path)
    file = io.BytesIO()
    soundfile.write(file, sounds()["red"][RATE_HZ : 3 * RATE_HZ], RATE_HZ, format="WAV")
    with served(made.uri, SETTINGS) as page:
        query = {"picture": made.queries["red"].read_bytes()}
        assert page.post("/api/sounds", query, top=1).status == 200  # the files of sounds are not open yet
        make_anew(made)
        wait_until(lambda: page.post("/api/pictures", {"sound": file.getvalue()}, top=1).status == 200)
        assert page.post("/api/sounds", query, top=1).status == 200


def test_an_index_that_is_made_anew_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_warehouse(tmp_path)
    before = read_manifest(index_folder(made.uri, "default"))
    make_anew(made)
    read = iter([before])
    monkeypatch.setattr("avlib.retrieval.suggest.read_manifest", lambda folder: next(read, read_manifest(folder)))
    suggester = Suggester(Warehouse(made.uri), SETTINGS.suggest)
    assert suggester.suggest(open_picture(made.queries["red"]), Wish(1, 1.0)).neighbors[0].uri.endswith("red.mp4")
    suggester.check()
    shutil.rmtree(Path(made.uri, "index", "default", "v0-s0-anew"))
    with pytest.raises(WarehouseError, match="an index file is missing"):
        Suggester(Warehouse(made.uri), SETTINGS.suggest)


def test_an_empty_collection_is_said(tmp_path: Path) -> None:
    made = make_warehouse(tmp_path)
    manifest = Path(made.uri, "index", "default", "manifest.json")
    text = manifest.read_text()
    begin, end = text.index('"shards": ['), text.rindex("]")
    manifest.write_text(text[:begin] + '"shards": [' + text[end:])
    with served(made.uri, SETTINGS) as page:
        reply = page.post("/api/sounds", {"picture": made.queries["red"].read_bytes()})
        assert reply.status == 409
        assert reply.values["error"].startswith("the collection default is empty")


def tables_of(made: SmallWarehouse) -> pa.Table:
    return Warehouse(made.uri).open(tables.COLLECTION).to_pyarrow_table()
