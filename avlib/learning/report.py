"""How a training went."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class LearningReport:
    """losses, accuracies: of every step, on windows that were trained with; accuracy is the share of windows whose
    partner is nearest.  held_out: (steps done, accuracy) on videos that were not trained with.
    chance: of guessing there.  train, held_out_videos: how many.
    """

    losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    held_out: tuple[tuple[int, float], ...]
    chance: float
    train: int
    held_out_videos: int

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LearningReport:
        """From what to_json gave."""
        given = json.loads(text)
        losses, accuracies = (tuple(given[name]) for name in ("losses", "accuracies"))
        held_out = tuple((steps, accuracy) for steps, accuracy in given["held_out"])
        return cls(losses, accuracies, held_out, given["chance"], given["train"], given["held_out_videos"])

    def summary(self) -> str:
        """In words."""
        last = max(1, len(self.losses) // 10)
        first, end = (sum(part) / len(part) for part in (self.losses[:last], self.losses[-last:]))
        return (
            f"{len(self.losses)} steps on {self.train} videos, loss {first:.2f} → {end:.2f}; on {self.held_out_videos} "
            f"videos held out the other window of a pair is nearest in {self.held_out[-1][1]:.1%} "
            f"(by chance {self.chance:.1%})"
        )
