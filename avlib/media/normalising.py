"""One normaliser for every picture, whether a video's frame or a still query: upright, cropped, square, RGB.

The shorter side is scaled to size_px · 256/224 and the centre size_px² is kept (the usual evaluation crop of
image classifiers). Cropping comes first: the same picture, but only what is kept is scaled. Scaling is
swscale's bilinear, which averages when it shrinks, in an FFmpeg filter graph on one thread.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.filter.graph import Graph
from av.video.frame import VideoFrame

from avlib.arrays import UInt8Array
from avlib.errors import ParameterError

_SHORTER_SIDE = Fraction(256, 224)
_SNAPPED_FROM_PX = 8


class PictureNormaliser:
    """Turns decoded frames into pictures of shape (size_px, size_px, 3), uint8 RGB.

    rotation_deg: clockwise, a multiple of 90.  pixel_aspect: width of a pixel over its height.
    Keeps the filter graph from one frame to the next, and makes another when the frames change.
    """

    def __init__(self, *, size_px: int, rotation_deg: int = 0, pixel_aspect: float = 1.0) -> None:
        if size_px < 1:
            raise ParameterError("size_px", size_px, "at least 1")
        if rotation_deg % 90:
            raise ParameterError("rotation_deg", rotation_deg, "a multiple of 90")
        self._size_px = size_px
        self._rotation_deg = rotation_deg
        self._pixel_aspect = pixel_aspect
        self._layout: tuple[object, ...] | None = None
        self._graph: Graph | None = None

    def __call__(self, frame: VideoFrame) -> UInt8Array:
        """Normalise one frame. Raises av.error.FFmpegError for pixel formats that FFmpeg cannot convert."""
        layout = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range)
        if self._graph is None or layout != self._layout:
            self._graph, self._layout = self._make_graph(frame), layout
        frame.pts = None  # one frame in, one frame out: stamps play no part
        self._graph.vpush(frame)
        picture = self._graph.vpull().to_ndarray().astype(np.uint8, copy=False)
        return np.ascontiguousarray(np.rot90(picture, k=-(self._rotation_deg // 90)))

    def _make_graph(self, frame: VideoFrame) -> Graph:
        graph = Graph()
        graph.threads = 1
        source = (
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000"
            f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
        )
        nodes = [graph.add("buffer", source)]
        width, height = self._crop(frame.width, frame.height)
        if (width, height) != (frame.width, frame.height):
            # Crops snap to the chroma grid, save where that would leave nothing.
            exact = int(min(width, height) < _SNAPPED_FROM_PX)
            nodes.append(graph.add("crop", f"{width}:{height}:exact={exact}"))
        nodes.append(graph.add("scale", f"{self._size_px}:{self._size_px}:flags=bilinear"))
        nodes.append(graph.add("format", "pix_fmts=rgb24"))
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        return graph

    def _crop(self, width: int, height: int) -> tuple[int, int]:
        """The centre that is kept, in the frame's own pixels: square once pixels are square."""
        side = min(width * self._pixel_aspect, height) / float(_SHORTER_SIDE)
        return max(1, min(width, round(side / self._pixel_aspect))), max(1, min(height, round(side)))


def normalise_picture(picture: UInt8Array, *, size_px: int, rotation_deg: int = 0) -> UInt8Array:
    """Normalise one RGB picture of shape (height, width, 3), uint8. Returns shape (size_px, size_px, 3).

    rotation_deg turns it clockwise first, by a multiple of 90. Raises ParameterError for another shape.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ParameterError("picture", f"{picture.dtype} {picture.shape}", "uint8 of shape (height, width, 3)")
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return PictureNormaliser(size_px=size_px, rotation_deg=rotation_deg)(frame)
