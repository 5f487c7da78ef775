"""Descriptors made short, so that those of a neighbor can travel with it.

Pictures keep their distances as well as so many numbers can. So do sounds; of several descriptors of a sound, each is
made short by itself, and the squared distance of two sounds is the mean of what they say: one hears what another does
not. The paper's MFCCs are whitened: its nested windows say the same over and over, and that would decide alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avlib.agreement.evidence import Views
from avlib.arrays import Float32Array, Float64Array, Int64Array
from avlib.config import AgreementSettings
from avlib.descriptors import l2_normalise
from avlib.errors import ParameterError

_WHITENED = "audio_mfcc65"

_LEAST_DEVIATION = 1e-3
"""Of the largest: a direction in which sounds vary less is noise that whitening would blow up."""


@dataclass(frozen=True, eq=False)
class Projection:
    """x → (x - mean) · matrix, L2-normalised.  mean: shape (d,).  matrix: shape (d, k)."""

    mean: Float64Array
    matrix: Float64Array

    def __call__(self, raw: Float32Array) -> Float32Array:
        """Raw descriptors, shape (n, d), made short: (n, k), of length 1, or 0 where nothing is left."""
        if raw.ndim != 2 or raw.shape[1] != len(self.mean):
            raise ParameterError("raw", f"shape {raw.shape}", f"shape (n, {len(self.mean)})")
        return l2_normalise(((raw - self.mean) @ self.matrix).astype(np.float32))


def fit_pictures(raw: Float32Array, *, dimensions: int) -> Projection:
    """The directions that keep most of the L2-normalised descriptors, not centred: distances stay what they were.

    raw: shape (n, d), n ≥ 1. At most `dimensions`, n and d directions.
    """
    rows = l2_normalise(raw).astype(np.float64)
    _, _, directions = np.linalg.svd(rows, full_matrices=False)
    return Projection(np.zeros(raw.shape[1]), directions[:dimensions].T)


def fit_sounds(raw: Float32Array, *, dimensions: int, whiten: bool) -> Projection:
    """The principal components of the standardised descriptors, each scaled to deviation 1 where they are whitened.

    raw: shape (n, d), n ≥ 1. At most `dimensions`, n and d of them; none in which they hardly vary.
    """
    mean, deviation = raw.mean(axis=0, dtype=np.float64), raw.std(axis=0, dtype=np.float64)
    scale = np.where(deviation == 0, 0.0, 1 / np.where(deviation == 0, 1.0, deviation))
    _, sizes, directions = np.linalg.svd((raw - mean) * scale, full_matrices=False)
    varies = (sizes > _LEAST_DEVIATION * sizes.max(initial=0.0)) & (np.arange(len(sizes)) < dimensions)
    components = directions[varies].T
    if whiten:
        components = components * (np.sqrt(len(raw)) / sizes[varies])
    return Projection(mean, scale[:, None] * components)


@dataclass(frozen=True, eq=False)
class Described:
    """n samples with all descriptors that agreement asks.

    ids, times_s: shape (n,), ids ascending.  visual: shape (n, d_V).  sounds: of each sound descriptor, in the order of
    agreement.audio, shape (n, d). All normalised, float32.
    """

    ids: Int64Array
    times_s: Float64Array
    visual: Float32Array
    sounds: tuple[Float32Array, ...]

    def take(self, rows: Int64Array) -> Described:
        """The samples in these rows."""
        return Described(
            self.ids[rows], self.times_s[rows], self.visual[rows], tuple(sound[rows] for sound in self.sounds)
        )


@dataclass(frozen=True)
class Shortening:
    """How descriptors are made short: pictures, and each descriptor of a sound."""

    pictures: Projection
    sounds: tuple[Projection, ...]

    def __call__(self, samples: Described) -> Views:
        """Samples as they are compared."""
        return Views(samples.ids, samples.times_s, self.pictures(samples.visual), self._joined(samples.sounds))

    def _joined(self, sounds: Sequence[Float32Array]) -> Float32Array:
        parts = [short(sound) for short, sound in zip(self.sounds, sounds, strict=True)]
        return np.concatenate(parts, axis=1) * np.float32(1 / np.sqrt(len(parts)))


def fit_shortening(samples: Described, settings: AgreementSettings) -> Shortening:
    """Fitted to these samples. Raises ParameterError for another number of sound descriptors than agreement.audio."""
    if len(samples.sounds) != len(settings.audio):
        raise ParameterError("sounds", len(samples.sounds), f"one for each of {', '.join(settings.audio)}")
    return Shortening(
        fit_pictures(samples.visual, dimensions=settings.picture_dimensions),
        tuple(
            fit_sounds(sound, dimensions=settings.sound_dimensions, whiten=name == _WHITENED)
            for name, sound in zip(settings.audio, samples.sounds, strict=True)
        ),
    )
