"""`tiles.fold_tiles` on a GPU, through torch: the same lists, to the last bit.

The device bounds all pairs of a tile by their float32 products, and finds those that pass, as the kernel does; it
takes the distances of these from the differences of the descriptors, in float64 and in the kernel's order of
additions. What is left for the CPU is to enter them into lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from avlib.errors import ConfigError
from avlib.identity import VIDEO_ID_SHIFT
from avlib.neighbors import kernel
from avlib.neighbors.kernel import Lists, Search, Side
from avlib.neighbors.tiles import NOT_WANTED, fold_tiles, rows_of, spans

ROWS = 4096
"""Of a tile on the device, on either side. Calculated: some 0.5 GB for the bounds and what is made of them."""

WORTH_PAIRS = 1 << 20
"""Fewer are folded sooner on the CPU: a tile is some forty calls of the device."""

_PAIRS = 1 << 20  # at most, whose distances are taken and folded together
_DISTANCE_BYTES = 64 << 20  # of the descriptors of pairs whose distances are taken together
_EIGHT = 8  # sums of a distance, as the kernel has it


class _OnDevice(NamedTuple):
    """A Side there."""

    ids: Tensor
    times_s: Tensor
    visual: Tensor
    audio: Tensor
    visual_squares: Tensor
    audio_squares: Tensor

    def rows(self, start: int, stop: int) -> _OnDevice:
        return type(self)._make(array[start:stop] for array in self)


class TorchTiles:
    """Folds pairs as `fold_tiles` does, those of one search. device: of torch, "cuda:1"."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._held: list[tuple[Side, _OnDevice]] = []  # the last two: one of them is in the next fold, too

    def __call__(self, left: Side, right: Side, search: Search, left_lists: Lists, right_lists: Lists | None) -> None:
        """Raises ConfigError where the device has no memory for blocks and a tile."""
        if len(left.ids) * len(right.ids) < WORTH_PAIRS:
            fold_tiles(left, right, search, left_lists, right_lists)
            return
        # Products as exact as float32 is: the bounds count on it.
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            with torch.inference_mode():
                self._fold(left, right, search, left_lists, right_lists)
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"{self._device} has no memory for two blocks and a tile of {ROWS} x {ROWS} pairs: "
                f"{str(error).splitlines()[0]}; let fewer tasks share a GPU (spark.task.resource.gpu.amount), lower "
                "knn.block_rows, or set describe.device = cpu"
            ) from None

    def _fold(self, left: Side, right: Side, search: Search, left_lists: Lists, right_lists: Lists | None) -> None:
        mirrored, lefts, rights = right_lists is left_lists, self._on_device(left), self._on_device(right)
        for i, i_stop in spans(0, len(left.ids), ROWS):
            left_rows, left_part = rows_of(left, i, i_stop), rows_of(left_lists, i, i_stop)
            for j, j_stop in spans(i if mirrored else 0, len(right.ids), ROWS):
                right_rows = rows_of(right, j, j_stop)
                right_part = rows_of(right_lists, j, j_stop) if right_lists else NOT_WANTED
                tile = _Tile(lefts.rows(i, i_stop), rights.rows(j, j_stop), search)
                for rows, columns in tile.passing(left_part, right_part, once=mirrored and i == j):
                    distances = tile.distances(rows, columns).cpu().numpy()
                    pairs = rows.cpu().numpy(), columns.cpu().numpy()
                    kernel.fold_pairs(left_rows, right_rows, pairs, distances, search, left_part, right_part)

    def _on_device(self, side: Side) -> _OnDevice:
        found = next((tensors for held, tensors in self._held if held is side), None)
        self._held = [one for one in self._held if one[0] is not side][-1:]
        if found is None:
            found = _OnDevice._make(torch.tensor(array, device=self._device) for array in side)
        self._held.append((side, found))
        return found


@dataclass(frozen=True, eq=False)
class _Tile:
    left: _OnDevice
    right: _OnDevice
    search: Search

    def passing(self, left_lists: Lists, right_lists: Lists, *, once: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows and columns of the allowed pairs that may enter a list. once: one of (i, j) and (j, i), of one block.

        Hardly any pass, but of exact duplicates all do, and of a capped list as long as there are too few videos.
        """
        bounds, forbidden = self._bounds(), self._forbidden()
        bounds[forbidden] = torch.inf
        passes = bounds <= self._limits(bounds, left_lists, dim=1)[:, None]
        if len(right_lists.ids):
            passes |= bounds <= self._limits(bounds, right_lists, dim=0)
        passes &= ~forbidden
        if once:
            passes = passes.triu_(diagonal=1)
        for start, stop in spans(0, len(passes), max(1, _PAIRS // passes.shape[1])):
            rows, columns = passes[start:stop].nonzero(as_tuple=True)
            yield rows + start, columns

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Of some pairs, float32, as the kernel's `_distance` takes them."""
        widest = max(self.left.visual.shape[1], self.left.audio.shape[1])
        together = max(1, _DISTANCE_BYTES // (8 * widest))
        found = [torch.empty(0, dtype=torch.float32, device=rows.device)]
        # A tensor: CUDA multiplies with the reciprocal of a number, which gives other bits than the division.
        grid = torch.tensor(kernel.GRID, dtype=torch.float64, device=rows.device)
        for start, stop in spans(0, len(rows), together):
            left, right = rows[start:stop], columns[start:stop]
            distance = torch.zeros(len(left), dtype=torch.float64, device=rows.device)
            for weight, x, y in self._modalities():
                distance += torch.sqrt(_square_distances(x[left], y[right])) * weight
            found.append((torch.round(distance / grid) * grid).float())
        return torch.cat(found)

    def _modalities(self) -> list[tuple[float, Tensor, Tensor]]:
        """Weight and descriptors of those that count."""
        left, right, search = self.left, self.right, self.search
        both = [(search.w_visual, left.visual, right.visual), (search.w_audio, left.audio, right.audio)]
        return [one for one in both if one[0]]

    def _squares(self) -> list[tuple[float, Tensor, Tensor, int]]:
        """Weight, squares and dimension of the modalities that count."""
        left, right, search = self.left, self.right, self.search
        visual = (search.w_visual, left.visual_squares, right.visual_squares, left.visual.shape[1])
        audio = (search.w_audio, left.audio_squares, right.audio_squares, left.audio.shape[1])
        return [one for one in (visual, audio) if one[0]]

    def _bounds(self) -> Tensor:
        """(left, right), float32: no distance is smaller."""
        bounds = torch.zeros(len(self.left.ids), len(self.right.ids), device=self.left.ids.device)
        for (weight, x, y), (_, x_squares, y_squares, _) in zip(self._modalities(), self._squares(), strict=True):
            squares = torch.addmm(x_squares[:, None] + y_squares, x, y.T, alpha=-2)
            bounds += squares.clamp_(min=0).sqrt_().mul_(weight)
        return bounds

    def _forbidden(self) -> Tensor:
        """(left, right), bool: a sample and itself, and what the rule forbids."""
        left, right, search = self.left, self.right, self.search
        if search.exclude == kernel.NONE:
            return left.ids[:, None] == right.ids
        one_video = (left.ids >> VIDEO_ID_SHIFT)[:, None] == right.ids >> VIDEO_ID_SHIFT
        if search.exclude == kernel.WINDOW:
            apart_s = (left.times_s[:, None] - right.times_s).abs_()
            one_video &= (apart_s <= search.exclude_s + kernel.TIME_SLACK_S) | (left.ids[:, None] == right.ids)
        return one_video

    def _limits(self, bounds: Tensor, lists: Lists, *, dim: int) -> Tensor:
        """Above these no pair counts, (n,): a list's last distance; of one that is not full, what k pairs here keep to.

        dim: of the bounds, along which the candidates of a list lie.
        """
        search = self.search
        last = torch.tensor(lists.distances[:, search.k - 1], dtype=torch.float64, device=bounds.device)
        open_ = torch.isinf(last).nonzero()[:, 0]
        if len(open_):
            candidates = bounds[open_] if dim == 1 else bounds.T[open_]
            if search.per_video:  # the k nearest of different videos: no cap keeps any of them out
                ids = self.right.ids if dim == 1 else self.left.ids
                candidates = _least_of_each(candidates, ids >> VIDEO_ID_SHIFT)
            if candidates.shape[1] >= search.k:
                kth = candidates.topk(search.k, largest=False, sorted=True).values[:, -1].double()
                for weight, left, right, dimension in self._squares():
                    own, others = (left, right) if dim == 1 else (right, left)
                    error = kernel.product_error(dimension)
                    slack = 2 * error / (1 - error) * (own[open_].double() + others.max().double())
                    kth += weight * slack.sqrt()
                last[open_] = kth
        return (last * (1 + 2.0**-20) + kernel.GRID).float()


def _least_of_each(values: Tensor, groups: Tensor) -> Tensor:
    """(n, groups): the least of each group of columns. groups: (columns,), equal for columns of one."""
    found, of_columns = torch.unique(groups, return_inverse=True)
    least = torch.full((len(values), len(found)), torch.inf, device=values.device)
    return least.scatter_reduce_(1, of_columns.expand(len(values), -1), values, "amin")


def _square_distances(x: Tensor, y: Tensor) -> Tensor:
    """(n,), float64, of rows: the kernel's `_square_distance`, its eight sums in the same order."""
    terms = (x.double() - y.double()).square_()
    eights = terms.shape[1] // _EIGHT * _EIGHT
    sums = torch.zeros(len(terms), _EIGHT, dtype=torch.float64, device=terms.device)
    for start, stop in spans(0, eights, _EIGHT):
        sums += terms[:, start:stop]
    for column in range(eights, terms.shape[1]):
        sums[:, 0] += terms[:, column]
    pairs = sums[:, 0::2] + sums[:, 1::2]
    return (pairs[:, 0] + pairs[:, 1]) + (pairs[:, 2] + pairs[:, 3])
