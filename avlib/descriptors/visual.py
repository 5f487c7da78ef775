"""The picture descriptor, chosen by name: a torchvision network's penultimate layer or a classical one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from avlib.arrays import Float32Array, UInt8Array
from avlib.errors import ConfigError

HOG_COLOR = "hog_color"
"""Name of the weight-free descriptor (avlib.descriptors.classical)."""

PICTURES_TOGETHER = 16
"""How many pictures go through a network at a time, on a CPU.

What passes between layers stays nearer the cache than with 32, some 5 % less time. And describe gives it always so
many: with fewer torch takes other kernels, whose last bits differ, and for every other number it keeps buffers of
other sizes, which in mobilenet_v2 add up to a gigabyte.
"""


class VisualDescriptor(Protocol):
    """Turns pictures into rows of numbers.

    model_hash: 64 hex digits; equal hashes mean the same numbers, whatever file the weights came from.
    """

    @property
    def name(self) -> str:
        """The value of describe.visual_model."""

    @property
    def dimension(self) -> int:
        """Numbers per picture."""

    @property
    def model_hash(self) -> str:
        """Identity of model and weights."""

    def describe(self, pictures: UInt8Array) -> Float32Array:
        """pictures: shape (b, size, size, 3), RGB. Returns shape (b, dimension), raw (not normalised).

        Memory grows with b.
        """


def load_visual_descriptor(model: str, weights: Path | None, *, device: str = "cpu") -> VisualDescriptor:
    """Load the descriptor that describe.visual_model names.

    model: a classification model of torchvision, or "hog_color".  weights: its file, as `resolve_weights`
    gives it; None for hog_color.  device: where a network runs ("cpu", "cuda:1"); on cuda it runs in half
    precision.
    Raises ConfigError in one line: unknown model, no last linear layer, missing or unfit weights, no such
    device.
    """
    if model == HOG_COLOR:
        if weights is not None:
            raise ConfigError(f"describe.visual_weights = {weights}: {HOG_COLOR} has no weights, leave it DEFAULT")
        # Imported here, so that whoever needs one of the two does not pay for the other.
        from avlib.descriptors.classical import HogColor

        return HogColor()
    if weights is None:
        raise ConfigError(f"describe.visual_model = {model} needs weights: resolve describe.visual_weights first")
    from avlib.descriptors.network import NetworkDescriptor

    return NetworkDescriptor(model, weights, device=device)
