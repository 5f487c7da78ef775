"""The picture model as planning needs it: how many numbers, how much work; and one with arbitrary weights to time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avlib.config import DescribeSettings
from avlib.descriptors import HOG_COLOR, VisualDescriptor, load_visual_descriptor
from avlib.errors import ConfigError


@dataclass(frozen=True)
class PictureModel:
    """dims: numbers for a picture.  flops: for a picture, 2 for a multiply-add; 0 for a classical descriptor."""

    dims: int
    flops: int


def picture_model(settings: DescribeSettings) -> PictureModel:
    """What describe.visual_model takes and gives. Needs no weights: its shapes alone are gone through.

    Raises ConfigError for an unknown model, one without a linear layer, or one that cannot take the picture size.
    """
    if settings.visual_model == HOG_COLOR:
        return PictureModel(load_visual_descriptor(HOG_COLOR, None).dimension, 0)
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from avlib.descriptors.network import build_network

    side = settings.picture_size_px
    with torch.device("meta"), torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network = build_network(settings.visual_model).eval()
        try:
            network(torch.empty(1, 3, side, side))
        except (AssertionError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"describe.picture_size_px = {side}: {settings.visual_model}: {reason}") from None
    linear = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    if not linear:
        raise ConfigError(f"describe.visual_model = {settings.visual_model} has no linear layer, so no penultimate one")
    last = linear[-1]
    return PictureModel(last.in_features, counter.get_total_flops() - 2 * last.in_features * last.out_features)


def arbitrary_model(name: str, folder: Path, *, device: str = "cpu") -> VisualDescriptor:
    """The model with arbitrary weights, which are left in the folder: as fast as with trained ones."""
    if name == HOG_COLOR:
        return load_visual_descriptor(name, None)
    import torch

    from avlib.descriptors.network import build_network

    weights = folder / "weights.pth"
    torch.save(build_network(name).state_dict(), weights)
    return load_visual_descriptor(name, weights, device=device)
