"""The exact search on a GPU, beside its matrix products there and beside torch's own search of one modality.

54,000 × (576 + 65), k = 20, in blocks of 4,096. torch's own: products of each block with all others, squares added, and
`topk`, so without exact distances. Nothing fails by its figures.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from knn_samples import structured_samples
from torch import Tensor

from avlib.arrays import Float32Array
from avlib.neighbors import Block, NeighborRule, PairSearch, fold_on, side

DEVICE, SAMPLES, K, BLOCK_ROWS = "cuda:0", 54_000, 20, 4096

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")


def test_exact_search_on_a_gpu() -> None:
    block = structured_samples(SAMPLES, dimensions=(576, 65))
    joint_s = _second_time_s(lambda: _search(block, (1.0, 1.0)))
    products_s = _second_time_s(lambda: [_products(x) for x in (block.visual, block.audio)])
    print(f"\n{torch.cuda.get_device_name(0)}; {SAMPLES:,} x (576 + 65), k = {K}, from and to host memory")
    print(f"joint {joint_s:.2f} s, {joint_s / products_s:.1f} x its products there, {products_s:.2f} s")
    one_s, torch_s = _second_time_s(lambda: _search(block, (1.0, 0.0))), _second_time_s(lambda: _topk(block.visual))
    print(f"one modality {one_s:.2f} s, {one_s / torch_s:.1f} x torch's products and topk, {torch_s:.2f} s")


def _second_time_s(work: Callable[[], object]) -> float:
    for _ in range(2):
        torch.cuda.synchronize()
        started_s = time.perf_counter()
        work()
        torch.cuda.synchronize()
        spent_s = time.perf_counter() - started_s
    return spent_s


def _search(block: Block, weights: tuple[float, float]) -> None:
    search = PairSearch(weights=weights, k=K, rule=NeighborRule(), fold=fold_on(DEVICE))
    sides = [side(block.take(rows)) for rows in np.split(np.arange(len(block)), range(BLOCK_ROWS, SAMPLES, BLOCK_ROWS))]
    for left, right in itertools.combinations_with_replacement(sides, 2):
        search.fold(left, right)
    search.lists()


def _products(descriptors: Float32Array) -> None:
    x = torch.tensor(descriptors, device=DEVICE)
    for left, right in itertools.combinations_with_replacement(x.split(BLOCK_ROWS), 2):
        left @ right.T


def _topk(descriptors: Float32Array) -> list[Tensor]:
    x = torch.tensor(descriptors, device=DEVICE)
    squares = x.square().sum(1)
    return [(squares - 2 * rows @ x.T).topk(K + 1, largest=False).indices.cpu() for rows in x.split(BLOCK_ROWS)]
