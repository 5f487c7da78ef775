"""The paper's picture descriptor: a trained network's penultimate layer (Solèr et al. 2016, §3.1).

The paper takes a VGG-like network's 4096 numbers; here any classification model of torchvision serves
(mobilenet_v2 1280, mobilenet_v3_small 1024, alexnet 4096, resnet18 512, vit_b_16 768 numbers).
"""

from __future__ import annotations

import copy
import difflib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from avlib.arrays import Float32Array, UInt8Array
from avlib.descriptors.quick_torchvision import import_torchvision
from avlib.descriptors.visual import HOG_COLOR, PICTURES_TOGETHER
from avlib.descriptors.weights import hash_weights, read_weights
from avlib.errors import ConfigError, ParameterError

torchvision = import_torchvision()

# These two were ported from TensorFlow: their weights expect their own scaling, which torchvision switches on
# only when it loads them itself. Their default initialisation takes longer than everything else here.
_PORTED = {"transform_input": True, "init_weights": False}
_OPTIONS: dict[str, dict[str, Any]] = {"googlenet": _PORTED, "inception_v3": _PORTED}


class NetworkDescriptor:
    """Input of a torchvision classification model's last linear layer. Attributes as VisualDescriptor."""

    def __init__(self, model: str, weights: Path, *, device: str = "cpu") -> None:
        """Build the model, load its weights strictly. Raises ConfigError as load_visual_descriptor does."""
        check_model(model)
        self._device = _check_device(device)
        network = build_network(model)
        state = read_weights(weights)
        set_weights(network, state, model=model, source=weights)
        self.name = model
        self.model_hash = hash_weights(model, state)
        self.dimension = _cut_last_linear(network, model)
        self._precision = torch.float16 if self._device.type == "cuda" else torch.float32
        network = fused(network.eval()).to(self._device, self._precision)
        self._network = network.to(memory_format=torch.channels_last)
        transforms = torchvision.models.get_model_weights(model).DEFAULT.transforms()
        self._mean, self._deviation = (
            255 * torch.tensor(values, device=self._device) for values in (transforms.mean, transforms.std)
        )

    def describe(self, pictures: UInt8Array) -> Float32Array:
        """pictures: shape (b, size, size, 3), RGB. Returns shape (b, dimension), float32.

        On a GPU all go through the network together, so b decides how much memory that takes (see
        describe.picture_batch); in halves, where it has no room. What half precision cannot hold is described in full.
        Raises ParameterError for another shape or type, ConfigError if the model cannot take this size, or the GPU not
        even one picture.
        """
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
            raise ParameterError(
                "pictures", f"{pictures.dtype} of shape {pictures.shape}", "uint8 of shape (b, size, size, 3)"
            )
        if len(pictures) == 0:
            return np.empty((0, self.dimension), dtype=np.float32)
        try:
            return self._describe(pictures)
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"{self._device} has no memory for pictures of describe.picture_size_px = {pictures.shape[1]} in "
                f"{self.name} ({str(error).splitlines()[0]}); let fewer tasks share a GPU "
                "(spark.task.resource.gpu.amount), or set describe.device = cpu"
            ) from error

    @torch.inference_mode()
    def _describe(self, pictures: UInt8Array) -> Float32Array:
        # torch wants memory it may write to.
        pixels = torch.from_numpy(np.require(pictures, requirements=["C", "W"])).to(self._device)
        together = PICTURES_TOGETHER if self._device.type == "cpu" else len(pixels)
        described = torch.cat([self._in_parts(part, self._network) for part in torch.split(pixels, together)]).float()
        beyond = ~described.isfinite().all(1)
        if self._precision == torch.float16 and beyond.any():
            described[beyond] = self._in_parts(pixels[beyond], self._in_full)
        values: Float32Array = described.cpu().numpy()
        return values

    @cached_property
    def _in_full(self) -> nn.Module:
        """The network in single precision, for pictures whose numbers leave the range of half precision."""
        return copy.deepcopy(self._network).float()

    def _in_parts(self, pixels: torch.Tensor, network: nn.Module) -> torch.Tensor:
        """Through the network, in halves where the GPU has no room for all: other tasks may be using it."""
        try:
            return self._through(pixels, network)
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise
        torch.cuda.empty_cache()  # out of the `except`, which holds what the failed attempt had made
        return torch.cat([self._in_parts(half, network) for half in torch.chunk(pixels, 2)])

    def _through(self, pixels: torch.Tensor, network: nn.Module) -> torch.Tensor:
        # Mean and deviation for a whole row of pixels: broadcast over single ones they take ten times as long.
        mean, deviation = (values.repeat(pixels.shape[2]) for values in (self._mean, self._deviation))
        normalised = pixels.flatten(2).float().sub_(mean).div_(deviation).view(pixels.shape)
        batch = normalised.permute(0, 3, 1, 2)  # which is channels_last
        try:
            described: torch.Tensor = network(batch.to(next(network.parameters()).dtype))
        except (AssertionError, RuntimeError) as error:
            size = pixels.shape[1]
            if size == 224 or isinstance(error, torch.OutOfMemoryError):
                raise
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"describe.picture_size_px = {size}: {self.name} cannot take it ({reason}); try 224"
            ) from error
        return described


def check_model(model: str) -> None:
    """Raise ConfigError unless torchvision has a classification model of this name."""
    known = torchvision.models.list_models(module=torchvision.models)
    if model in known:
        return
    close = difflib.get_close_matches(model, [*known, HOG_COLOR], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "for example mobilenet_v3_small."
    raise ConfigError(
        f"describe.visual_model = {model} is unknown: {hint} "
        f"It is a classification model of torchvision {torchvision.__version__}, or {HOG_COLOR}"
    )


def build_network(model: str) -> nn.Module:
    """The model with arbitrary weights. Raises ConfigError for an unknown name."""
    check_model(model)
    network: nn.Module = torchvision.models.get_model(model, weights=None, **_OPTIONS.get(model, {}))
    return network


def fused(network: nn.Module) -> nn.Module:
    """The network with every batch normalisation worked into the convolution before it, as far as inference goes.

    The numbers stay the same to 1e-4. A network that cannot be traced (its path depends on what it is given) is
    returned as it is.
    """
    try:
        faster: nn.Module = fuse(network)
    except Exception:  # tracing fails in as many ways as there are networks
        return network
    return faster


def set_weights(network: nn.Module, state: dict[str, torch.Tensor], *, model: str, source: Path) -> None:
    """Load weights strictly: every name, every shape; float16 storage becomes the network's float32.

    Raises ConfigError that counts what does not fit and names the first of each. Batch counters of
    normalisation layers, unused here, may be missing, as they are in old files.
    """
    wanted = network.state_dict()
    missing = [n for n in wanted if n not in state and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in state if n not in wanted]
    unfit = [
        n
        for n, value in state.items()
        if n in wanted
        and (value.shape != wanted[n].shape or value.is_floating_point() != wanted[n].is_floating_point())
    ]
    wrong = [
        f"{len(names)} {what} ({names[0]}{_shapes(state, wanted, names[0])})"
        for names, what in (
            (missing, "missing"),
            (unexpected, "unexpected"),
            (unfit, "of another shape or type"),
        )
        if names
    ]
    if wrong:
        raise ConfigError(f"weights {source} do not fit {model}: {', '.join(wrong)}; are they another model's?")
    wanted.update(state)  # an update of the network's own dict keeps its version marks, which safetensors drops
    network.load_state_dict(wanted, strict=True)


def _shapes(state: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], name: str) -> str:
    if name not in state or name not in wanted:
        return ""
    have, want = (f"{tuple(side[name].shape)} {side[name].dtype}" for side in (state, wanted))
    return f": {have}, not {want}"


def _cut_last_linear(network: nn.Module, model: str) -> int:
    """Let the network end before its last linear layer; returns that layer's number of inputs."""
    linear = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ConfigError(
            f"describe.visual_model = {model} has no linear layer, so no penultimate one: "
            f"take another, for example mobilenet_v3_small"
        )
    name, last = linear[-1]
    network.set_submodule(name, nn.Identity())
    return last.in_features


def _check_device(device: str) -> torch.device:
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device} cannot be used: {str(error).splitlines()[0]}; try cpu") from None
