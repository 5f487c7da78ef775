"""The contrastive loss: which of all windows is the other one of a pair?"""

from __future__ import annotations

import torch
from torch.nn import functional


def candidates(own: torch.Tensor, videos: torch.Tensor, *, first: int, all_videos: torch.Tensor) -> torch.Tensor:
    """Which windows a window may be taken for: its partner, and all of other videos.

    own: the partner of each of b windows, an index into all.  videos: theirs, shape (b,).  all_videos: of all n.
    first: index of the first of the b among the n. Returns shape (b, n), bool; never the window itself.
    """
    allowed = videos[:, None] != all_videos[None]
    rows = torch.arange(len(own), device=own.device)
    allowed[rows, own] = True
    allowed[rows, first + rows] = False
    return allowed


def pair_loss(
    projected: torch.Tensor, everyone: torch.Tensor, own: torch.Tensor, allowed: torch.Tensor, *, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of finding the partner by cosine, and the share of windows whose partner is nearest.

    projected: (b, d), everyone: (n, d), of length 1.  own: (b,), index of the partner.  allowed: (b, n).
    """
    likeness = (projected @ everyone.T / temperature).masked_fill(~allowed, float("-inf"))
    return functional.cross_entropy(likeness, own), (likeness.argmax(dim=1) == own).float().mean()
