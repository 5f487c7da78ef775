"""The network's weights as a file, and their hash."""

from __future__ import annotations

import hashlib
import json

import safetensors.torch
import torch

from avlib.config import LearnSettings
from avlib.learning.network import SoundNet

_DECIDING = ("track", "window_s", "channels", "projection")
"""Settings that what the network says hangs on, besides its weights."""


def network_bytes(network: SoundNet) -> bytes:
    """A safetensors file of the network."""
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    return safetensors.torch.save(state)


def hash_network(state: dict[str, torch.Tensor], settings: LearnSettings) -> str:
    """SHA-256 over the names, types, shapes and bytes of the weights, and the settings they are used with."""
    deciding = settings.model_dump(mode="json", include=set(_DECIDING))
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode())
    for name, value in sorted(state.items()):
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
