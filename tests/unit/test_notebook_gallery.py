"""Contact sheets, reasons and the map of a warehouse, as a notebook shows them."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import deltalake
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.decomposition import PCA
from small_warehouse import DURATION_S, SmallWarehouse, make_warehouse

import avlib.notebook
import avlib.report
from avlib import tables
from avlib.errors import ParameterError, WarehouseError
from avlib.identity import VIDEO_ID_SHIFT
from avlib.notebook import (
    Clip,
    CollectionMap,
    ContactSheet,
    Gallery,
    duckdb_with_delta,
    find_warehouse,
    open_gallery,
    open_warehouse,
)
from avlib.notebook.scatter import principal_plane
from avlib.tables import Table

DROPPED = (1 << VIDEO_ID_SHIFT) + 1000
"""A sample of the second video that no collection has."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallWarehouse:
    """With all the tables that a gallery reads. The first sample is borne out by two others, DROPPED by none."""
    small = make_warehouse(tmp_path_factory.mktemp("small"))
    kept = deltalake.DeltaTable(tables.COLLECTION.path(small.uri, "default")).to_pyarrow_table().sort_by("sample_id")
    ids = [*kept["sample_id"].to_pylist(), DROPPED]
    visual = [*kept["visual"].to_pylist(), kept["visual"][0].as_py()]
    times_s = [*kept["time_s"].to_pylist(), 5.0]
    names = ["sample_id", "attempt", "time_s", "visual"]
    columns = [ids, pa.array([1] * len(ids), pa.int32()), times_s, pa.array(visual, tables.DESCRIPTOR)]
    write(small, tables.SAMPLES, pa.table(columns, names=names))
    uris = [str(path) for path in small.videos.values()]
    write(small, tables.VIDEOS, pa.table([[0, 1, 2], uris], names=["video_id", "uri"]))
    write(
        small, tables.DESCRIPTIONS, pa.table([[0, 1, 2], pa.array([1] * 3, pa.int32())], names=["video_id", "attempt"])
    )
    audio = np.array(kept["audio"].to_pylist())
    stats = [[1], ["audio_mfcc65"], [len(kept)], [audio.mean(axis=0).tolist()], [audio.std(axis=0).tolist()]]
    write(small, tables.DESCRIPTOR_STATS, pa.table(stats, schema=tables.DESCRIPTOR_STATS.schema))
    others = [ids[25], ids[45]]
    scores = [[ids[0], DROPPED], [1.5, -0.25], [2, 0], [others, []], [True, False]]
    write(small, tables.SCORES, pa.table(scores, schema=tables.SCORES.schema))
    return small


def write(made: SmallWarehouse, table: Table, rows: pa.Table) -> None:
    place = table.path(made.uri, "default")
    configuration = {tables.SCHEMA_VERSION_PROPERTY: str(tables.SCHEMA_VERSION)}
    deltalake.DeltaTable.create(place, rows.schema, configuration=configuration, raise_if_key_not_exists=False)
    deltalake.write_deltalake(place, rows, mode="append")


@pytest.fixture
def gallery(made: SmallWarehouse) -> Iterator[Gallery]:
    with open_gallery(made.uri) as opened:
        yield opened


def color(picture: str | None) -> int:
    """Which of red, green and blue a picture is most of."""
    assert picture is not None
    shown = Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2])))
    return int(np.asarray(shown).mean(axis=(0, 1)).argmax())


def test_a_sheet_shows_and_plays_samples_in_the_order_asked_for(gallery: Gallery) -> None:
    ids = gallery.samples.ids
    sheet = gallery.sheet([int(ids[50]), int(ids[0]), int(ids[50])], title="<three>")
    assert [clip.title for clip in sheet.clips] == ["green.mp4", "red.mp4", "green.mp4"]
    assert [color(clip.picture) for clip in sheet.clips] == [1, 0, 1]
    for clip in sheet.clips:
        assert clip.sound is not None
        with av.open(io.BytesIO(base64.b64decode(clip.sound.partition(",")[2]))) as sound:
            assert sound.duration / 1e6 == pytest.approx(2.0, abs=0.15)
    bundle = sheet._repr_mimebundle_()
    assert bundle["text/html"].count("<audio") == 3 and "&lt;three&gt;" in bundle["text/html"]
    assert not re.search(r"""(src|href)="(?!data:)""", bundle["text/html"])
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/jpeg"]))).width > 3 * 144
    assert bundle["text/plain"].splitlines()[0] == "<three>"


def test_ids_and_notes_that_do_not_fit_are_refused(gallery: Gallery) -> None:
    with pytest.raises(ParameterError, match="sample_id = 7: expected a sample of"):
        gallery.sheet([int(gallery.samples.ids[0]), 7])
    with pytest.raises(ParameterError, match="one for each sample, 1, or none"):
        gallery.sheet([int(gallery.samples.ids[0])], notes=["a", "b"])
    with pytest.raises(ParameterError, match="component_id = 9: expected a component of the collection default"):
        gallery.component(9)
    with pytest.raises(ParameterError, match="a sample that has a score"):
        gallery.why(int(gallery.samples.ids[1]))


def test_a_component_is_shown_over_its_time(gallery: Gallery) -> None:
    sheet = gallery.component(2, count=4)
    assert sheet.title == "component 2: 20 samples of 1 video"
    times_s = [float(clip.note.removesuffix(" s")) for clip in sheet.clips]
    assert len(times_s) == 4 and times_s == sorted(times_s) and times_s[-1] - times_s[0] > DURATION_S / 3


def test_why_names_what_bears_a_sample_out_or_looks_like_it(gallery: Gallery) -> None:
    kept = gallery.why(int(gallery.samples.ids[0]))
    assert kept.title == "score 1.50, borne out by 2 other videos: kept"
    assert [clip.title for clip in kept.clips] == ["red.mp4", "blue.mp4", "green.mp4"]
    assert [clip.marked for clip in kept.clips] == [True, False, False]
    dropped = gallery.why(DROPPED)
    assert dropped.title == "score -0.25, borne out by 0 other videos: dropped"
    assert [clip.title for clip in dropped.clips][:2] == ["blue.mp4", "red.mp4"]  # its picture was described as red's
    assert dropped.clips[1].note.endswith("looks like it")


def test_a_video_that_is_gone_costs_its_own_clips(made: SmallWarehouse, gallery: Gallery) -> None:
    ids = gallery.samples.ids
    video = made.videos["red"]
    video.rename(video.with_suffix(".away"))
    try:
        gone, there = gallery.sheet([int(ids[0]), int(ids[30])]).clips
        sheet = ContactSheet((gone, there))
    finally:
        video.with_suffix(".away").rename(video)
    assert gone.picture is None and gone.sound is None and there.picture and there.sound
    assert (
        "the video cannot be read" in sheet.html() and sheet.still().size == ContactSheet((there, there)).still().size
    )


def test_the_map_has_a_dot_and_a_frame_for_each_sample(gallery: Gallery) -> None:
    shown = gallery.map()
    assert shown.of == 60 and sorted(set(shown.component_ids.tolist())) == [0, 1, 2]
    html = shown.html()
    assert html.count('class="dot"') == html.count("<image") == 60
    assert "<script" not in html and not re.search(r"""(src|href)="(?!data:)""", html)
    for component in range(3):  # each is a place of its own on the plane
        own = shown.points[shown.component_ids == component]
        others = shown.points[shown.component_ids != component]
        assert (
            np.linalg.norm(own - own.mean(axis=0), axis=1).max()
            < np.linalg.norm(others - own.mean(axis=0), axis=1).min()
        )
    assert Image.open(io.BytesIO(shown.still())).format == "PNG"
    few = gallery.map(most=10)
    assert len(few.points) == 10 and repr(few).startswith("map: 10 of 60 samples")


def test_a_map_of_one_place_and_of_many_components() -> None:
    ids = np.arange(14)
    same = CollectionMap(np.zeros((14, 2)), (0.0, 0.0), ids, ("a",) * 14, (None,) * 14, 14)
    assert "4 smaller ones" in same.html() and len(same.still()) > 1000


@settings(deadline=None)
@given(st.integers(3, 40), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_the_plane_is_that_of_principal_components(rows: int, columns: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32) * np.arange(1, columns + 1)
    x = x.astype(np.float32)
    points, shares = principal_plane(x)
    spread = np.linalg.svd(x - x.mean(axis=0, dtype=np.float64), compute_uv=False)[:3]
    assume(np.all(np.diff(spread) < -1e-3 * spread[0]))  # equal ones have no axes of their own
    wanted = PCA(2, svd_solver="full").fit(x.astype(np.float64))
    np.testing.assert_allclose(np.abs(points), np.abs(wanted.transform(x.astype(np.float64))), atol=1e-6)
    np.testing.assert_allclose(shares, wanted.explained_variance_ratio_, atol=1e-9)


def test_too_little_for_a_plane() -> None:
    with pytest.raises(ParameterError, match="three rows and two columns"):
        principal_plane(np.zeros((2, 5), np.float32))


def test_a_warehouse_is_found_where_it_is_named(
    made: SmallWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVLIB_WAREHOUSE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert find_warehouse(made.uri) == Path(made.uri)
    with pytest.raises(WarehouseError, match="no warehouse at demo-out/warehouse: run `make demo`"):
        find_warehouse()
    (tmp_path / "demo-out").mkdir()
    (tmp_path / "demo-out" / "warehouse").symlink_to(made.uri)
    (tmp_path / "notebooks").mkdir()
    assert find_warehouse() == Path(made.uri)
    monkeypatch.chdir(tmp_path / "notebooks")
    assert find_warehouse() == Path(made.uri)
    monkeypatch.setenv("AVLIB_WAREHOUSE", str(tmp_path / "none"))
    with pytest.raises(WarehouseError, match="none: run `make demo`"):
        find_warehouse()


def test_looking_at_samples_brings_no_torch() -> None:
    """Suggestions do, which takes seconds."""
    looks = "from avlib.notebook import open_gallery; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", looks], check=False).returncode == 0
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        avlib.notebook.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        avlib.report.nothing  # noqa: B018


def test_duckdb_reads_a_version_of_a_table(made: SmallWarehouse) -> None:
    place = tables.SAMPLES.path(made.uri, "default")
    duck = duckdb_with_delta()
    assert duck.execute("SELECT count(*) FROM delta_scan(?)", [place]).fetchone() == (61,)
    assert duck.sql(f"SELECT count(*) FROM delta_scan('{place}', version => 0)").fetchone() == (0,)


def test_suggestions_show_themselves(made: SmallWarehouse) -> None:
    with open_warehouse(made.uri) as collection:
        found = collection.suggest(made.queries["green"], top=2, region=(0.5, 0, 0.5, 1))
        query, *shown = found.sheet().clips
        assert query.marked and query.sound is None and color(query.picture) == 1
        assert [clip.title for clip in shown] == ["green.mp4"] * 2 and all(clip.sound for clip in shown)
        assert repr(found).count("green.mp4 at") == 2 and str(made.videos["green"].parent) not in repr(found)
        assert Image.open(io.BytesIO(found[0].play()._repr_png_())).size == (320, 48)
        with pytest.raises(ParameterError, match="region"):
            collection.suggest(made.queries["green"], region=(0.5, 0, 0.6, 1))


def test_a_long_caption_is_cut_in_a_still() -> None:
    long = ContactSheet((Clip("a" * 80, "b" * 80, None, None),), title="c" * 200)
    assert long.still().size == ContactSheet((Clip("", "", None, None),), title="c").still().size
