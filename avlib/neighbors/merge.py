"""Partial neighbor lists made whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avlib.errors import ParameterError
from avlib.neighbors import kernel
from avlib.neighbors.block import NeighborLists, NeighborRule, check_k
from avlib.neighbors.kernel import Lists, Search


def merged(partials: Sequence[NeighborLists], *, k: int, rule: NeighborRule) -> NeighborLists:
    """The k nearest of all that a sample's partial lists name, by (distance, id), with the rule's limit per video.

    partials: lists of the same search, of k or more entries where there were as many. A sample may be in some of
        them only, and any number of times; a neighbor may be in several of its lists.
    Returns lists in ascending order of the samples' ids. They are the lists of one search over everything that the
    partial searches compared. Raises ParameterError for k below 1, and for no partial lists.
    """
    # Without a cap: the k best of all are each among the k best of their part. With one: a list takes, from the best
    # on, what finds fewer than `per_video` of its own video taken before it, until k are taken. Those of its video
    # that come before an entry are, in a part, some of those in the whole, and so are the entries taken before it:
    # what the whole takes, its part has taken too. And the whole refuses others for the sake of entries that it has
    # taken, which are all here: it refuses them here as well.
    check_k(k)
    if not partials:
        raise ParameterError("partials", "none", "one or more")
    ids, places = np.unique(np.concatenate([part.ids for part in partials]), return_inverse=True)
    lists = kernel.empty_lists(len(ids), k)
    search = Search(k, w_visual=0.0, w_audio=0.0, exclude=kernel.NONE, exclude_s=0.0, per_video=rule.per_video)
    start = 0
    for part in partials:
        rows = places[start : start + len(part)]
        start += len(part)
        given = Lists(kernel.read_only(part.neighbor_ids), kernel.read_only(part.distances))
        kernel.fold_lists(kernel.read_only(part.ids), kernel.read_only(rows), given, search, lists)
    return NeighborLists(ids, lists.ids, lists.distances)
