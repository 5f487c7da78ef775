"""The picture model's weights are kept in the warehouse, and taken from there when they are asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avlib.config import DescribeSettings, load_settings
from avlib.descriptors.network import build_network
from avlib.models import store_model

MODEL = "mobilenet_v3_small"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(build_network(MODEL).state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def settings(weights: Path, size_px: int = 224) -> DescribeSettings:
    chosen = [f"visual_model={MODEL}", f"visual_weights={weights}", f"picture_size_px={size_px}"]
    return load_settings(assignments=[f"describe.{one}" for one in chosen]).describe


def test_known_weights_are_not_loaded_again(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = str(tmp_path / "warehouse")
    first = store_model(settings(weights), warehouse=warehouse)
    assert first.weights is not None and first.load(warehouse).model_hash == first.model_hash
    with monkeypatch.context() as patched:
        patched.setattr("avlib.models.resolve_weights", lambda *_: pytest.fail("loaded again"))
        assert store_model(settings(weights), warehouse=warehouse) == first
        moved = weights.rename(tmp_path / "moved.pth")
        assert store_model(settings(moved), warehouse=warehouse) == first
        small = store_model(settings(moved, size_px=128), warehouse=warehouse)
        assert small.weights == first.weights and small.picture_size_px == 128
    for record in Path(warehouse, "models").glob("*.json"):
        record.write_bytes(b"")  # as after a power cut
    assert store_model(settings(moved), warehouse=warehouse) == first
    Path(warehouse, first.weights).unlink()
    assert store_model(settings(moved), warehouse=warehouse) == first
    assert first.load(warehouse).model_hash == first.model_hash


def test_other_weights_at_the_same_place_are_seen(weights: Path, tmp_path: Path) -> None:
    warehouse = str(tmp_path / "warehouse")
    first = store_model(settings(weights), warehouse=warehouse)
    torch.save(build_network(MODEL).state_dict(), weights)
    other = store_model(settings(weights), warehouse=warehouse)
    assert other.model_hash != first.model_hash and other.weights != first.weights
