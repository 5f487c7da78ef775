"""The sound of a query as a descriptor, made as `avlib describe` makes those of the collection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avlib.arrays import Float32Array, Float64Array
from avlib.descriptors import (
    DescriptorStats,
    audio_context,
    loud_frames,
    mfcc_windows,
    normalise_audio,
    rms_energy,
)
from avlib.errors import InputError, MediaError, WarehouseError
from avlib.learning import load_sound_descriptor
from avlib.media import IsolatedVideo
from avlib.models import StoredSoundModel, read_sound_model
from avlib.retrieval.index import IndexManifest, SoundDescription
from avlib.storage import local_copy

_MOST_S = 60.0
"""A query sound is listened to for so long."""


@dataclass(frozen=True)
class Listener:
    """Describes query sounds as the samples of one index were described."""

    manifest: IndexManifest
    sound: SoundDescription
    model: StoredSoundModel | None
    warehouse: str

    @classmethod
    def of(cls, manifest: IndexManifest, warehouse: str) -> Listener:
        """Raises WarehouseError where it is not known any more how the samples were described."""
        model = read_sound_model(warehouse) if manifest.audio == "audio_learned" else None
        if manifest.sound is None or (manifest.audio == "audio_learned" and model is None):
            raise WarehouseError(
                f"{warehouse}: how the sounds of this collection were described is not on record; run `avlib describe` "
                "and all later stages again"
            )
        return cls(manifest, manifest.sound, model, warehouse)

    def describe(self, video: IsolatedVideo, *, name: str) -> Float32Array:
        """The sound of a file at its loudest moment, as it is for the samples. Shape (d,), normalised.

        Raises InputError for a file without sound that can be decoded, or one that is silent.
        """
        rate_hz = self.sound.audio.sr if self.model is None else self.model.settings.track.sr
        try:
            info = video.probe()
            end_s = min(info.duration_s or _MOST_S, _MOST_S)
            waveform = video.sound_between(info, sample_rate_hz=rate_hz, start_s=0.0, end_s=end_s)
        except MediaError as error:
            raise InputError(f"{name} is not a sound avlib can read: {error.reason}") from None
        at_s = self._loudest(waveform, rate_hz, name)
        stats = DescriptorStats(np.array(self.manifest.mean), np.array(self.manifest.deviation), 0)
        normalised: Float32Array = normalise_audio(self._raw(waveform, at_s, rate_hz), stats)[0]
        return normalised

    def _loudest(self, waveform: Float32Array, rate_hz: int, name: str) -> Float64Array:
        """Time of the loudest frame. Shape (1,)."""
        frame_s = 1 / self.sound.frame_rate_hz
        times_s = np.arange(0, len(waveform) / rate_hz, frame_s)
        rms = rms_energy(waveform, times_s=times_s, sample_rate_hz=rate_hz, window_s=frame_s)
        if not times_s.size or not rms.max() > 0:
            raise InputError(f"{name} is silent; give a sound")
        loud = np.flatnonzero(loud_frames(rms)) if loud_frames(rms).any() else np.arange(rms.size)
        loudest: Float64Array = times_s[loud[rms[loud].argmax()]][None]
        return loudest

    def _raw(self, waveform: Float32Array, at_s: Float64Array, rate_hz: int) -> Float32Array:
        if self.model is not None:
            weights = local_copy(f"{self.warehouse}/{self.model.weights}")
            network = load_sound_descriptor(weights, self.model.settings, model_hash=self.model.model_hash)
            return network.describe(waveform, times_s=at_s)
        if self.manifest.audio == "audio_context":
            sounding_s = (0.0, len(waveform) / rate_hz)
            return audio_context(
                waveform, times_s=at_s, sounding_s=sounding_s, sample_rate_hz=rate_hz, settings=self.sound.context
            )
        if self.manifest.audio != "audio_mfcc65":
            raise WarehouseError(f"{self.manifest.audio}: how to describe a sound that is asked about is not known")
        frame_rate_hz = self.sound.frame_rate_hz
        return mfcc_windows(waveform, times_s=at_s, frame_rate_hz=frame_rate_hz, settings=self.sound.audio)
