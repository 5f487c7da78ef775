"""audio_learned: what the trained network says of the sound around a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from avlib.arrays import Float32Array, Float64Array
from avlib.config import LearnSettings
from avlib.descriptors import log_mel_track
from avlib.errors import WarehouseError
from avlib.learning.network import SoundNet
from avlib.learning.weights import hash_network

_TOGETHER = 32  # always so many: with fewer torch takes other kernels, and a sample would hang on its company


class SoundDescriptor:
    """A trained network.  dimension: numbers of a descriptor.  margin_s: sound it hears either side of a time."""

    def __init__(self, network: SoundNet, settings: LearnSettings, *, device: str = "cpu") -> None:
        self._network = network.eval().to(device)
        self._device, self.settings = torch.device(device), settings
        self.dimension = 2 * settings.channels[-1]
        self.margin_s = settings.window_s / 2 + settings.track.frame_s

    @torch.inference_mode()
    def describe(self, waveform: Float32Array, *, times_s: Float64Array) -> Float32Array:
        """The sound around each time. Returns shape (n, dimension), raw.

        waveform: shape (samples,), mono, at settings.track.sr, sample 0 at time 0.  times_s: shape (n,). What lies
        beyond the waveform is silence.
        """
        windows = self._windows(waveform, times_s)
        missing = -len(windows) % _TOGETHER
        padded = np.concatenate([windows, np.zeros((missing, *windows.shape[1:]), np.float32)])
        parts = torch.from_numpy(padded).view(-1, _TOGETHER, *windows.shape[1:])
        described = [self._network.describe(part.to(self._device)).float().cpu().numpy() for part in parts]
        found = np.concatenate([*described, np.zeros((0, self.dimension), np.float32)])
        return found[: len(windows)]

    def _windows(self, waveform: Float32Array, times_s: Float64Array) -> Float32Array:
        """Log-mel frames around each time. Shape (n, frames, n_mels)."""
        track = log_mel_track(waveform, sample_rate_hz=self.settings.track.sr, settings=self.settings.track)
        frames = self.settings.window_frames
        silence = 10 * np.log10(self.settings.track.amin)
        padded = np.pad(track, ((frames, frames), (0, 0)), constant_values=silence)
        centres = np.rint(times_s * self.settings.track.frames_hz).astype(np.int64) + frames
        windows: Float32Array = padded[centres[:, None] - frames // 2 + np.arange(frames)]
        return windows


def load_sound_descriptor(
    weights: Path, settings: LearnSettings, *, model_hash: str, device: str = "cpu"
) -> SoundDescriptor:
    """Read a network. Raises WarehouseError where the file is missing, damaged, or not the one of this hash."""
    network = SoundNet(settings)
    try:
        state = load_file(weights)
        if hash_network(state, settings) != model_hash:
            raise WarehouseError(
                f"{weights}: not the network that audio_learned was made with; put back the original file, or run "
                "`avlib learn` again"
            )
        network.load_state_dict(state)
    except (OSError, RuntimeError, SafetensorError) as error:
        said = str(error).splitlines()[0]
        raise WarehouseError(f"{weights}: cannot be read ({said}); run `avlib learn` again") from None
    return SoundDescriptor(network, settings, device=device)
