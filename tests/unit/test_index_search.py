"""The index finds what brute force finds, whatever its shards; cells what they promise; damage is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_files import build_index
from scipy import stats

from avlib.arrays import Float32Array, Int64Array
from avlib.config import IndexSettings, load_settings
from avlib.errors import WarehouseError
from avlib.retrieval.calibration import confidence
from avlib.retrieval.index import SoundDescription, read_manifest, write_manifest
from avlib.retrieval.search import SampleIndex
from avlib.retrieval.shards import is_whole

FLAT = IndexSettings(shard_rows=300, flat_rows=10_000, recall=0.99)
IN_CELLS = IndexSettings(shard_rows=300, flat_rows=0, recall=0.95)


def made_up(videos: int, *, of_each: int = 20, seed: int = 0) -> tuple[Int64Array, Float32Array, Float32Array]:
    """Ids, and unit rows of 24 and 8 numbers that are much alike inside a video."""
    random = np.random.default_rng(seed)
    ids = (np.repeat(np.arange(videos), of_each) << 24) + np.tile(np.arange(of_each), videos)

    def rows(dimension: int) -> Float32Array:
        middles = random.normal(size=(videos, dimension))[ids >> 24]
        x = middles + 0.5 * random.normal(size=(len(ids), dimension))
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    return ids, rows(24), rows(8)


def brute_force(query: Float32Array, rows: Float32Array, ids: Int64Array, count: int) -> tuple[list[int], list[float]]:
    distances = np.linalg.norm(rows.astype(np.float64) - query, axis=1)
    order = np.lexsort((ids, distances))[:count]
    return ids[order].tolist(), distances[order].tolist()


@pytest.mark.parametrize("settings", [FLAT, IndexSettings(shard_rows=7, flat_rows=10_000, recall=0.5)])
def test_a_flat_index_is_exact(settings: IndexSettings, tmp_path: Path) -> None:
    ids, visual, audio = made_up(40)
    index = SampleIndex(str(tmp_path), build_index(tmp_path, ids, visual, audio, settings))
    for modality, rows in (("visual", visual), ("audio", audio)):
        for query in rows[::97]:
            found = index.search(query, modality=modality, count=15)
            wanted, distances = brute_force(query, rows, ids, 15)
            assert [one.sample_id for one in found] == wanted
            np.testing.assert_allclose([one.distance for one in found], distances, atol=2e-3)
    (first,) = index.search(visual[33], modality="visual", count=1)
    assert (first.uri, first.component_id) == (f"{ids[33] >> 24}.mp4", 7)
    assert first.time_s == (ids[33] & 0xFFFFFF) / 25
    np.testing.assert_allclose(first.audio, audio[33], atol=1e-6)


def test_more_than_there_are(tmp_path: Path) -> None:
    ids, visual, audio = made_up(3)
    index = SampleIndex(str(tmp_path), build_index(tmp_path, ids, visual, audio, FLAT))
    assert sorted(one.sample_id for one in index.search(visual[0], modality="visual", count=500)) == ids.tolist()
    found = index.sample(int(ids[41]))
    assert found is not None and found.sample_id == ids[41]
    assert index.sample(12345 << 24) is None


def test_cells_find_the_share_they_promise(tmp_path: Path) -> None:
    ids, visual, audio = made_up(150)
    manifest = build_index(tmp_path, ids, visual, audio, IN_CELLS)
    index = SampleIndex(str(tmp_path), manifest)
    cells = manifest.cells["visual"]
    assert cells.cells == round(np.sqrt(len(ids)))
    assert 1 < cells.probes < cells.cells and cells.recall >= 0.95
    new = made_up(150, seed=0)[1][::7]  # of the same videos, other noise than the samples'
    new = new + np.float32(0.05) * np.random.default_rng(9).normal(size=new.shape).astype(np.float32)
    hits = [
        len(
            {one.sample_id for one in index.search(query, modality="visual", count=20)}
            & set(brute_force(query, visual, ids, 20)[0])
        )
        for query in new
    ]
    assert np.mean(hits) / 20 > 0.93
    everywhere = {modality: replace(found, probes=found.cells) for modality, found in manifest.cells.items()}
    exhaustive = SampleIndex(str(tmp_path), replace(manifest, cells=everywhere))
    for query in visual[::211]:
        found = exhaustive.search(query, modality="visual", count=20)
        assert [one.sample_id for one in found] == brute_force(query, visual, ids, 20)[0]


def test_cells_that_are_empty_hide_nothing(tmp_path: Path) -> None:
    """Ten looks that many videos share: most cells hold nothing, and one cell is enough for who asks."""
    random = np.random.default_rng(0)
    ids, _, audio = made_up(100)
    looks = random.normal(size=(10, 24)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    manifest = build_index(tmp_path, ids, looks[np.arange(len(ids)) % 10], audio, IN_CELLS)
    assert manifest.cells["visual"].probes == 1 < manifest.cells["visual"].cells
    index = SampleIndex(str(tmp_path), manifest)
    for query in random.normal(size=(50, 24)).astype(np.float32):
        assert len(index.search(query / np.linalg.norm(query), modality="visual", count=5)) == 5


@pytest.mark.parametrize("settings", [FLAT, IN_CELLS])
def test_nearest_distances_leave_the_own_video_out(settings: IndexSettings, tmp_path: Path) -> None:
    ids, visual, audio = made_up(30)
    manifest = build_index(tmp_path, ids, visual, audio, settings)
    for modality, rows in (("visual", visual), ("audio", audio)):
        apart = np.linalg.norm(rows[:, None].astype(np.float64) - rows[None], axis=2)
        apart[(ids >> 24)[:, None] == (ids >> 24)[None]] = np.inf
        np.testing.assert_allclose(manifest.nearest[modality], np.sort(apart.min(axis=1)), atol=1e-3)


def test_one_video_tells_nothing_of_others(tmp_path: Path) -> None:
    ids, visual, audio = made_up(1, of_each=60)
    manifest = build_index(tmp_path, ids, visual, audio, IN_CELLS)
    assert manifest.nearest["visual"] == ()
    assert manifest.cells["visual"].probes == manifest.cells["visual"].cells
    assert confidence(0.5, np.array(manifest.nearest["visual"])) is None


def test_confidence_is_uniform_for_the_like_of_the_collection() -> None:
    random = np.random.default_rng(0)
    known = np.sort(random.gamma(2, size=999))
    sure = [confidence(float(distance), known) for distance in random.gamma(2, size=4000)]
    assert stats.kstest(np.array(sure, np.float64), "uniform").statistic < 0.04
    assert confidence(known[-1] + 1, known) == 1 / 1000


@given(st.lists(st.floats(0, 2), min_size=1, max_size=30), st.floats(0, 2), st.floats(0, 2))
def test_farther_is_never_surer(known: list[float], one: float, other: float) -> None:
    near, far = sorted([one, other])
    distances = np.sort(np.array(known))
    nearer, farther = confidence(near, distances), confidence(far, distances)
    assert nearer is not None and farther is not None
    assert 0 < farther <= nearer <= 1


def test_the_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    ids, visual, audio = made_up(5)
    described = load_settings().describe
    sound = SoundDescription(25.0, described.audio, described.audio_context)
    manifest = replace(build_index(tmp_path, ids, visual, audio, IN_CELLS), sound=sound)
    write_manifest(str(tmp_path), manifest)
    assert read_manifest(str(tmp_path)) == manifest
    place = tmp_path / "manifest.json"
    place.write_text(place.read_text().replace('"format": 3', '"format": 2'))
    with pytest.raises(WarehouseError, match="another version of avlib; run `avlib index` again"):
        read_manifest(str(tmp_path))
    place.write_text("{")
    with pytest.raises(WarehouseError, match="not an index manifest"):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize("modality", ["visual", "rows"])
def test_a_file_that_is_another_is_not_opened(modality: str, tmp_path: Path) -> None:
    ids, visual, audio = made_up(5)
    manifest = build_index(tmp_path, ids, visual, audio, FLAT)
    file = tmp_path / manifest.of_modality(modality)[0].file
    content = file.read_bytes()
    assert all(is_whole(str(tmp_path), shard) for shard in manifest.shards)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WarehouseError, match="not the file its manifest names"):
        SampleIndex(str(tmp_path), manifest)
    assert sum(not is_whole(str(tmp_path), shard) for shard in manifest.shards) == 1
    file.unlink()
    assert sum(not is_whole(str(tmp_path), shard) for shard in manifest.shards) == 1
    with pytest.raises(WarehouseError, match="an index file is missing"):
        SampleIndex(str(tmp_path), manifest)
