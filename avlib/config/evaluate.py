"""The settings of the paper's experiments."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from avlib.config.section import Section

MAX_CHOICES = 6
"""Pairs of k and minimum size that an experiment chooses from: every one is tried at every point."""


class EvaluateSettings(Section):
    """The paper's experiments (see avlib.evaluation.protocol)."""

    ratios: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(min_length=1)
    strategies: tuple[str, ...] = Field(min_length=1)
    seeds: int = Field(ge=1)
    seed: int = Field(ge=0)
    folds: int = Field(ge=2)
    unit: Literal["frame", "segment", "video"]
    segment_s: float = Field(gt=0)
    replace_from: Literal["outside", "other-category"]
    choose: bool
    inner_folds: int = Field(ge=2)
    k: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    min_size: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    answers: int = Field(ge=1)
    most_samples: int = Field(ge=1)

    @model_validator(mode="after")
    def _few(self) -> EvaluateSettings:
        if len(self.k) * len(self.min_size) > MAX_CHOICES:
            raise ValueError(f"k and min_size make {len(self.k) * len(self.min_size)} pairs; at most {MAX_CHOICES}")
        for name in ("ratios", "shares"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} names a value twice; each once")
        return self
