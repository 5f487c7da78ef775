"""Which block a sample falls into."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from avlib.spark.packing import BlockLayout

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(sizes=SIZES, block_rows=st.integers(1, 20), seed=st.integers(0, 2**16))
def test_components_share_blocks_or_have_their_own(sizes: list[int], block_rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    ids = np.sort(random.choice(1 << 40, len(sizes), replace=False))
    components = random.permutation(np.repeat(ids, sizes))
    draws = random.integers(-(1 << 63), (1 << 63) - 1, len(components))
    component_draws = random.integers(-(1 << 63), (1 << 63) - 1, len(ids))
    large = [(int(one), size) for one, size in zip(ids, sizes, strict=True) if size > block_rows]
    in_small = sum(size for size in sizes if size <= block_rows)
    layout = BlockLayout(block_rows, in_small, dict(large))
    numbers = layout.numbers(components, draws, component_draws[np.searchsorted(ids, components)])
    keys = [layout.key(number) for number in range(len(layout))]
    assert len({key.name for key in keys}) == len(keys)
    for number, component, draw in zip(numbers.tolist(), components.tolist(), draws.tolist(), strict=True):
        if (component, size := sizes[np.searchsorted(ids, component)]) in large:
            assert keys[number] == (f"component-{component}", draw % -(-size // block_rows), size)
        else:
            shared = int(component_draws[np.searchsorted(ids, component)]) % layout.shared
            assert keys[number] == (f"shared-{shared}", 0, 0)
