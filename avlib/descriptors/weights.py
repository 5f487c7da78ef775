"""Weight files of picture networks: found or downloaded, read without pickle, identified by contents."""

from __future__ import annotations

import hashlib
import pickle
import re
import socket
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from avlib.descriptors.visual import HOG_COLOR
from avlib.errors import ConfigError

# torch is imported inside the functions: hog_color passes through here and does without.
if TYPE_CHECKING:
    import torch

DEFAULT = "DEFAULT"
_DOWNLOAD_TIMEOUT_S = 30.0
# Torchvision's densenet files still carry the names of torch < 0.4 ("norm.1" for "norm1").
_OLD_DENSENET_KEY = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


def resolve_weights(model: str, weights: str) -> Path | None:
    """The local file behind describe.visual_weights; meant for the driver, which may reach a network.

    weights: "DEFAULT" (torchvision's best weights for the model, downloaded once into torch's cache folder),
    or the path of a .pth, .pt or .safetensors file. Returns None for hog_color, which has no weights.
    Raises ConfigError: unknown model, no such file, another suffix, or a failed download (with the three ways
    out).
    """
    if model == HOG_COLOR:
        if weights != DEFAULT:
            raise ConfigError(f"describe.visual_weights = {weights}: {HOG_COLOR} has no weights, leave it {DEFAULT}")
        return None
    from avlib.descriptors.network import check_model

    check_model(model)
    if weights == DEFAULT:
        return _download(model)
    path = Path(weights).expanduser()
    if path.suffix not in (".pth", ".pt", ".safetensors"):
        raise ConfigError(f"describe.visual_weights = {weights}: give {DEFAULT}, or a .pth or .safetensors file")
    if not path.is_file():
        raise ConfigError(f"describe.visual_weights = {weights}: there is no such file")
    return path


def _download(model: str) -> Path:
    import torch

    from avlib.descriptors.quick_torchvision import import_torchvision

    url: str = import_torchvision().models.get_model_weights(model).DEFAULT.url
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if cached.is_file():
        return cached
    prefix = re.search(r"-([a-f0-9]{8,})\.", cached.name)
    timeout_s = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)  # torch sets none, and a silent firewall would hang the driver
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(cached), prefix and prefix[1], progress=False)
    except (
        OSError,
        RuntimeError,
    ) as error:  # URLError and time-outs are OSErrors, a wrong hash a RuntimeError
        raise ConfigError(
            f"weights of {model} cannot be downloaded from {url} ({_one_line(error)}). Three ways out: "
            f"reach that address, or copy the file to {cached}; set describe.visual_weights = FILE.pth or "
            f"FILE.safetensors; or set describe.visual_model = {HOG_COLOR}, which needs none"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout_s)
    return cached


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Names and tensors of a .pth, .pt (by torch's restricted loader) or .safetensors file, on the CPU.

    Raises ConfigError if the file cannot be read or holds anything else.
    """
    import safetensors
    import safetensors.torch
    import torch

    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (OSError, RuntimeError, ValueError, LookupError, EOFError) as error:
        raise ConfigError(f"weights {path}: cannot be read ({_one_line(error)})") from None
    except (pickle.UnpicklingError, safetensors.SafetensorError):
        raise ConfigError(
            f"weights {path}: not a plain state dict (pickled objects are refused); save model.state_dict()"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        inside = (
            f"a dict of {', '.join(map(str, list(state)[:3]))}" if isinstance(state, dict) else type(state).__name__
        )
        raise ConfigError(f"weights {path}: expected a state dict of names and tensors, found {inside}")
    return {_OLD_DENSENET_KEY.sub(r"\1\2", name): value for name, value in state.items()}


def save_weights(model: str, weights: Path, to: Path) -> None:
    """Check that a weight file fits the model, then write it as safetensors in the precision it has.

    For a warehouse that keeps the weights its descriptors were made with; `model_hash` of the copy is the
    same.
    Raises ConfigError if the file cannot be read or does not fit.
    """
    import safetensors.torch

    from avlib.descriptors.network import build_network, set_weights

    state = read_weights(weights)
    set_weights(build_network(model), state, model=model, source=weights)
    partial = to.with_name(f"{to.name}.partial")
    # Cloned, because safetensors refuses tensors that share memory.
    safetensors.torch.save_file({name: value.contiguous().clone() for name, value in state.items()}, partial)
    partial.replace(to)


def model_hash(model: str, weights: Path | None) -> str:
    """SHA-256 over the model's name and the names, types, shapes and bytes of its weights. 64 hex digits.

    A .pth file and its safetensors copy have the same hash: they give the same descriptors.
    """
    if weights is None:
        # The number counts changes to how a weight-free descriptor is computed.
        return hashlib.sha256(f"{model}/1".encode()).hexdigest()
    return hash_weights(model, read_weights(weights))


def hash_weights(model: str, state: dict[str, torch.Tensor]) -> str:
    """`model_hash` of weights already read."""
    import torch

    digest = hashlib.sha256(model.encode())
    for name, value in sorted(state.items()):
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _one_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
