"""hog_color: a picture descriptor without weights, for demonstrations and for machines without any network.

It sees outlines, colours and textures, not what things are: expect far less of it than of a trained network.
Three parts of equal say, each divided by its own length:

- outlines: histograms of oriented gradients, 4 × 4 cells, 9 directions, 2 × 2 blocks, L2-Hys
  (Dalal & Triggs 2005, "Histograms of Oriented Gradients for Human Detection", CVPR);
- colours: joint hue-saturation-value histograms, 8 × 3 × 3 bins (Swain & Ballard 1991, "Color Indexing",
  IJCV), and CIELAB ones, 4 × 4 × 4 bins, each over the whole picture and over its top, middle and bottom
  thirds, in the manner of spatial pyramids (Lazebnik et al. 2006, CVPR);
- textures: uniform local binary patterns at radius 1 and 2 (Ojala et al. 2002, "Multiresolution gray-scale
  and rotation invariant texture classification with local binary patterns", PAMI), over the whole and its
  quarters.

Histograms are square-rooted shares, so that L2 distances between them are Hellinger distances (Arandjelović &
Zisserman 2012, CVPR).
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.color import rgb2gray, rgb2hsv, rgb2lab
from skimage.feature import hog, local_binary_pattern

from avlib.arrays import Float32Array, Float64Array, Int64Array, UInt8Array
from avlib.descriptors.visual import HOG_COLOR
from avlib.descriptors.weights import model_hash
from avlib.errors import ParameterError

_SIZE_PX = 96  # pictures are shrunk to this first: finer detail only moves with the camera, and costs time
_CELL_PX = _SIZE_PX // 4
_WHOLE = (slice(None), slice(None))
_THIRDS = tuple((slice(_SIZE_PX // 3 * i, _SIZE_PX // 3 * (i + 1)), slice(None)) for i in range(3))
_HALVES = (slice(0, _SIZE_PX // 2), slice(_SIZE_PX // 2, _SIZE_PX))
_QUARTERS = tuple((rows, columns) for rows in _HALVES for columns in _HALVES)
_LBP = ((8, 1), (16, 2))  # points and radius; uniform patterns have points + 2 values
_HOG_DIMENSION = 3 * 3 * 2 * 2 * 9
_COLOUR_DIMENSION = 4 * (8 * 3 * 3 + 4 * 4 * 4)
_TEXTURE_DIMENSION = 5 * sum(points + 2 for points, _ in _LBP)


class HogColor:
    """The weight-free descriptor. Attributes as VisualDescriptor; rows have length √3 (√2: no outlines)."""

    name = HOG_COLOR
    dimension = _HOG_DIMENSION + _COLOUR_DIMENSION + _TEXTURE_DIMENSION
    model_hash = model_hash(HOG_COLOR, None)

    def describe(self, pictures: UInt8Array) -> Float32Array:
        """pictures: shape (b, size, size, 3), RGB, any size. Returns shape (b, dimension), float32.

        Raises ParameterError for another shape or type.
        """
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
            raise ParameterError(
                "pictures", f"{pictures.dtype} of shape {pictures.shape}", "uint8 of shape (b, size, size, 3)"
            )
        described = np.empty((len(pictures), self.dimension), dtype=np.float32)
        for row, picture in zip(described, pictures, strict=True):
            row[:] = _describe(picture)
        return described


def _describe(picture: UInt8Array) -> Float64Array:
    shrunk = np.asarray(Image.fromarray(picture).resize((_SIZE_PX, _SIZE_PX), Image.Resampling.BOX))
    grey = rgb2gray(shrunk)
    parts = (_outlines(grey), _colours(shrunk), _textures(grey))
    return np.concatenate([part / (np.linalg.norm(part) or 1.0) for part in parts])


def _outlines(grey: Float64Array) -> Float64Array:
    cells: Float64Array = hog(
        grey,
        orientations=9,
        pixels_per_cell=(_CELL_PX, _CELL_PX),
        cells_per_block=(2, 2),
        block_norm="L2-Hys",
    )
    return cells


def _colours(picture: UInt8Array) -> Float64Array:
    hsv = rgb2hsv(picture)
    # a and b reach ±128 and rarely go beyond ±64: stronger colours join the outermost bins.
    lab = (rgb2lab(picture) - np.array([0.0, -64.0, -64.0])) / np.array([100.0, 128.0, 128.0])
    codes = ((_bins(hsv, (8, 3, 3)), 8 * 3 * 3), (_bins(lab, (4, 4, 4)), 4 * 4 * 4))
    return np.concatenate([_histogram(code[region], n) for code, n in codes for region in (_WHOLE, *_THIRDS)])


def _textures(grey: Float64Array) -> Float64Array:
    grey_levels = np.rint(grey * 255).astype(np.uint8)
    codes = [(_local_patterns(grey_levels, points, radius), points + 2) for points, radius in _LBP]
    return np.concatenate([_histogram(code[region], n) for code, n in codes for region in (_WHOLE, *_QUARTERS)])


def _local_patterns(grey_levels: UInt8Array, points: int, radius: int) -> Int64Array:
    """Uniform local binary pattern of every pixel, 0 to points + 1."""
    codes: Float64Array = local_binary_pattern(grey_levels, points, radius, method="uniform")  # type: ignore[no-untyped-call]
    return codes.astype(np.int64)


def _bins(channels: Float64Array, counts: tuple[int, int, int]) -> Int64Array:
    """Joint bin of every pixel. channels: shape (h, w, 3), clipped to [0, 1]. Returns shape (h, w)."""
    index = np.clip((channels * counts).astype(np.int64), 0, np.array(counts) - 1)
    joint: Int64Array = (index[..., 0] * counts[1] + index[..., 1]) * counts[2] + index[..., 2]
    return joint


def _histogram(codes: Int64Array, bins: int) -> Float64Array:
    """Square root of the share of each code. Shape (bins,), of length 1."""
    return np.sqrt(np.bincount(codes.ravel(), minlength=bins) / codes.size)
