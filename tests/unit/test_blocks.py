"""Blocks on shared storage: read back as written, mapped or through the cache, and missed when they are lost."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from s3_server import serve_s3

from avlib.blocks import BlockStore, PackedBlock, open_blocks, write_block
from avlib.errors import ConfigError, LostBlockError
from avlib.neighbors import Block


def packed(rows: int = 300, *, seed: int = 0) -> PackedBlock:
    random = np.random.default_rng(seed)
    visual, audio = (random.normal(size=(rows, d)).astype(np.float32) for d in (40, 0))
    ids = np.sort(random.choice(10**9, rows, replace=False)).astype(np.int64)
    return PackedBlock(Block(ids, visual, audio, random.random(rows)), random.integers(0, 9, rows))


def assert_same(one: PackedBlock, other: PackedBlock) -> None:
    for name in ("ids", "visual", "times_s"):
        np.testing.assert_array_equal(getattr(one.block, name), getattr(other.block, name))
    assert len(other.block.audio) == len(one.block)  # of no columns: this step does not look at it
    np.testing.assert_array_equal(one.components, other.components)


def test_a_local_block_is_mapped_not_copied(tmp_path: Path) -> None:
    size_bytes = write_block(str(tmp_path / "blocks"), "a-0", packed())
    assert (tmp_path / "blocks" / "a-0.arrow").stat().st_size == size_bytes
    with open_blocks(str(tmp_path / "blocks"), cache_bytes=1) as blocks:
        found = blocks.read("a-0", size_bytes=size_bytes)
    assert_same(packed(), found)
    assert not found.block.visual.flags.owndata
    assert not found.block.visual.flags.writeable


@pytest.mark.parametrize("damage", ["gone", "cut", "longer", "garbled"])
def test_a_lost_block_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    size_bytes = write_block(str(tmp_path), "a-0", packed())
    file = tmp_path / "a-0.arrow"
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes({"cut": whole[:-9], "longer": whole + b" ", "garbled": bytes(len(whole))}[damage])
    with open_blocks(str(tmp_path), cache_bytes=1) as blocks, pytest.raises(LostBlockError, match="block a-0 ") as lost:
        blocks.read("a-0", size_bytes=size_bytes)
    assert str(pickle.loads(pickle.dumps(lost.value))) == str(lost.value)


def test_blocks_on_s3_go_through_a_cache_of_limited_size(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, serve_s3(monkeypatch) as server:
        folder = "s3://videos/_scratch/knn"
        sizes = [write_block(folder, f"a-{seed}", packed(seed=seed)) for seed in range(4)]
        blocks = BlockStore(folder, cache=tmp_path, cache_bytes=int(2.5 * sizes[0]))
        for seed in (0, 1, 0, 2):  # 2 drives out 1, which was read before 0
            assert_same(packed(seed=seed), blocks.read(f"a-{seed}", size_bytes=sizes[seed]))
        assert {file.name for file in tmp_path.iterdir()} == {"a-0", "a-2"}
        for seed in range(4):
            server.delete_file(f"videos/_scratch/knn/a-{seed}.arrow")
        assert_same(packed(seed=2), blocks.read("a-2", size_bytes=sizes[2]))
        with pytest.raises(LostBlockError, match="block a-3 "):
            blocks.read("a-3", size_bytes=sizes[3])
        small = BlockStore(folder, cache=tmp_path / "none", cache_bytes=100)
        with pytest.raises(ConfigError, match=r"knn.cache_bytes = 100: one block takes \d+"):
            small.read("a-3", size_bytes=sizes[3])


def test_the_cache_goes_with_its_task(tmp_path: Path) -> None:
    before = set(Path(tempfile.gettempdir()).glob("avlib-*"))
    with pytest.MonkeyPatch.context() as monkeypatch, serve_s3(monkeypatch):
        size_bytes = write_block("s3://videos/blocks", "a-0", packed())
        with open_blocks("s3://videos/blocks", cache_bytes=10**9) as blocks:
            blocks.read("a-0", size_bytes=size_bytes)
            (folder,) = set(Path(tempfile.gettempdir()).glob("avlib-*")) - before
            assert any(file.stat().st_size == size_bytes for file in folder.iterdir())
    assert not folder.exists()
