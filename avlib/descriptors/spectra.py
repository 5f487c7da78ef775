"""Loops around the transform of sound windows that numpy would need several passes for."""

from __future__ import annotations

import numba
import numpy as np

from avlib.arrays import Complex128Array, Float32Array, Float64Array, Int64Array

_compiled = numba.njit(cache=True, nogil=True)


@_compiled
def tapered(waveform: Float32Array, starts: Int64Array, taper: Float64Array) -> Float64Array:
    """waveform[start : start + length] under the window function for each start, zeros outside. Shape (n, length)."""
    windows = np.empty((starts.size, taper.size))
    for row in range(starts.size):
        first = min(max(-starts[row], 0), taper.size)
        last = max(min(waveform.size - starts[row], taper.size), first)
        windows[row, :first] = 0
        windows[row, last:] = 0
        # Slices that begin at 0: with indexes that might be negative the loop takes three times as long.
        inside, heard, weights = windows[row, first:last], waveform[starts[row] + first :], taper[first:last]
        for sample in range(inside.size):
            inside[sample] = heard[sample] * weights[sample]
    return windows


@_compiled
def power(spectra: Complex128Array) -> Float32Array:
    """Squared magnitudes. Shape (n, bins)."""
    squared = np.empty(spectra.shape, np.float32)
    for row in range(spectra.shape[0]):
        for k in range(spectra.shape[1]):
            squared[row, k] = spectra[row, k].real ** 2 + spectra[row, k].imag ** 2
    return squared
