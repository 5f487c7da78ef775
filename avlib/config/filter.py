"""The settings of the filter: neighbors, components, strategies, and what is scored or left out before them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from avlib.config.section import Section
from avlib.config.sound import AudioDescriptor


class KnnSettings(Section):
    """Which neighbors a sample may have, and how they are found."""

    k: int = Field(ge=1)
    method: Literal["auto", "exact", "cells"]
    recall: float = Field(gt=0, le=1)
    exclude: Literal["none", "same_video", "window"]
    exclude_s: float = Field(ge=0)
    per_video: int = Field(ge=0)
    block_rows: int = Field(ge=1)
    cell_rows: int = Field(ge=2)
    memory_mb: int = Field(ge=16)
    cache_bytes: int = Field(ge=1)


class ComponentsSettings(Section):
    """Which components are kept, and how they are computed."""

    min_size: int = Field(ge=1)
    min_videos: int = Field(ge=1)
    min_share: float = Field(ge=0, le=1)
    one_task_edges: int = Field(ge=0, le=500_000_000)


class StepSettings(Section):
    """One kNN → mutual edges → components round: d = w_V·d_V + w_A·d_A (Solèr et al. 2016, Eq. 1)."""

    w_V: float = Field(ge=0)
    w_A: float = Field(ge=0)
    k: int = Field(ge=1)
    k_share: float = Field(1.0, gt=0, le=1)
    min_size: int = Field(ge=1)
    min_videos: int = Field(1, ge=1)
    min_share: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _weighted(self) -> StepSettings:
        if self.w_V == self.w_A == 0:
            raise ValueError("w_V and w_A are both 0: a step needs a modality")
        return self


class StrategySettings(Section):
    """A list of steps, each inside the components of the one before. A list by itself is one that is not scored.

    scored: the first step begins with the samples whose picture and sound agree (see avlib.agreement).
    """

    scored: bool = False
    steps: tuple[StepSettings, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, values: object) -> object:
        return {"steps": values} if isinstance(values, list | tuple) else values


class FilterSettings(Section):
    """The strategies that there are, and the one to filter by.

    audio: the sound descriptor that distances are taken between.
    """

    audio: AudioDescriptor
    strategy: str
    strategies: dict[str, StrategySettings]

    @model_validator(mode="after")
    def _known(self) -> FilterSettings:
        if self.strategy not in self.strategies:
            raise ValueError(f"strategy {self.strategy!r} is none of {', '.join(map(repr, self.strategies))}")
        return self

    @property
    def steps(self) -> tuple[StepSettings, ...]:
        """The steps of the chosen strategy, in order."""
        return self.strategies[self.strategy].steps

    @property
    def scored(self) -> bool:
        """Whether the chosen strategy begins with the samples that agree."""
        return self.strategies[self.strategy].scored

    @property
    def chosen(self) -> FilterSettings:
        """These settings without the strategies that were not chosen."""
        return self.model_copy(update={"strategies": {self.strategy: self.strategies[self.strategy]}})


class AgreementSettings(Section):
    """How samples are scored by what other videos show and sound like (see avlib.agreement)."""

    audio: tuple[AudioDescriptor, ...] = Field(min_length=1)
    neighbors: int = Field(ge=1)
    references: int = Field(ge=20)
    fitted: int = Field(ge=2)
    picture_dimensions: int = Field(ge=1)
    sound_dimensions: int = Field(ge=1)
    stretch_s: float = Field(ge=0)
    doubt: float = Field(gt=0, lt=1)
    keep: float = Field(ge=0, le=1)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _each_once(self) -> AgreementSettings:
        if len(set(self.audio)) < len(self.audio):
            raise ValueError("audio names a descriptor twice; each once")
        return self


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
