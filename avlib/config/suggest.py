"""The settings of the index, of suggestions and of the page that gives them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from avlib.config.section import Section

Duration: TypeAlias = Annotated[float, Field(gt=0, le=600)] | Literal["auto"]
"""Seconds of sound; auto: as long as the sound around the sample goes on."""


class IndexSettings(Section):
    """How the collection is cut into index files, and how they are searched."""

    shard_rows: int = Field(ge=1)
    flat_rows: int = Field(ge=0)
    recall: float = Field(gt=0, le=1)


class SuggestSettings(Section):
    """What a query gets."""

    top: int = Field(ge=1, le=1000)
    duration_s: Duration
    shortest_s: float = Field(gt=0)
    longest_s: float = Field(ge=0.05, le=60)
    fade_s: float = Field(ge=0, le=1)
    loudness_lufs: float = Field(ge=-70, le=-5)
    diverse_of: int = Field(ge=2, le=100)
    doubt: float = Field(ge=0, lt=1)
    max_pixels: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> SuggestSettings:
        if self.shortest_s > self.longest_s:
            raise ValueError(f"shortest_s lies at most at longest_s = {self.longest_s:g}")
        return self


class ServeSettings(Section):
    """What the page takes from its visitors, what it may cost, and what it is called."""

    upload_bytes: int = Field(ge=1)
    max_pixels: int = Field(ge=1)
    most: int = Field(ge=1, le=100)
    workers: int = Field(ge=1, le=64)
    waiting: int = Field(ge=1)
    cache_bytes: int = Field(ge=0)
    names: list[str]
