"""The settings of copies: the same recording in several videos."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avlib.section import Section


class CopySettings(Section):
    """What counts as a copy, and which strategies leave copies out (see avlib.copies)."""

    drop: Literal["scored", "always", "never"]
    nearness: float = Field(gt=0, lt=0.5)
    stretch_s: float = Field(gt=0)
    samples: int = Field(ge=2)
    samples_hz: float = Field(gt=0)
    neighbors: int = Field(ge=1)
    seed: int = Field(ge=0)

    def dropped_by(self, *, scored: bool) -> bool:
        """Whether a strategy leaves copies out."""
        return self.drop == "always" or (self.drop == "scored" and scored)
