"""Settings: conf/default.toml, overlaid by files and by --set, checked before Spark starts.

Every section is a frozen model; an unknown key or a value out of range fails naming the file and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from avlib.copy_settings import CopySettings
from avlib.errors import ConfigError
from avlib.identity import MAX_FRAMES
from avlib.layers import Origins, read_layers
from avlib.section import Section as Section
from avlib.section import hash_of as hash_of
from avlib.sound_settings import AudioDescriptor as AudioDescriptor
from avlib.sound_settings import AudioSettings as AudioSettings
from avlib.sound_settings import ContextSettings as ContextSettings
from avlib.sound_settings import LearnSettings as LearnSettings
from avlib.sound_settings import TrackSettings as TrackSettings
from avlib.suggest_settings import IndexSettings as IndexSettings
from avlib.suggest_settings import ServeSettings as ServeSettings
from avlib.suggest_settings import SuggestSettings as SuggestSettings

MAX_CHOICES = 6
"""Pairs of k and minimum size that an experiment chooses from: every one is tried at every point."""


class IngestSettings(Section):
    """What counts as an input when a folder is walked."""

    extensions: tuple[str, ...]


class DecodeSettings(Section):
    """What reading one video may cost before it is given up (see avlib.media.Decoder)."""

    stall_s: float = Field(gt=0)
    video_s: float = Field(gt=0)
    memory_mb: int = Field(ge=512)
    max_pixels: int = Field(ge=1)
    max_duration_s: float = Field(gt=0, le=86_400)
    still_s: float = Field(gt=0)
    renew_after: int = Field(ge=1)


class DescribeSettings(Section):
    """How a video becomes samples."""

    frame_rate_hz: float = Field(gt=0, le=1000)
    frame_stride: int = Field(ge=1)
    picture_size_px: int = Field(ge=32, le=1024)
    picture_batch: int = Field(ge=1)
    visual_model: str
    visual_weights: str
    device: Literal["auto", "cpu", "cuda"]
    batch_videos: int = Field(ge=1)
    slice_s: float = Field(ge=10)
    audio: AudioSettings
    audio_context: ContextSettings

    @model_validator(mode="after")
    def _tracked(self) -> DescribeSettings:
        if self.audio.sr % self.audio_context.frames_hz:
            raise ValueError(f"audio_context.frames_hz must divide audio.sr = {self.audio.sr}")
        if self.audio_context.fmax > self.audio.sr / 2:
            raise ValueError(f"audio_context.fmax lies at most at audio.sr / 2 = {self.audio.sr / 2:g} Hz")
        return self


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


class FetchSettings(Section):
    """What a video that lies on another machine may cost, and where it may come from."""

    quota_bytes: int = Field(ge=1)
    timeout_s: float = Field(gt=0)
    stall_s: float = Field(gt=0)
    allow_private: bool


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


class SparkSettings(Section):
    """Embedded Spark only."""

    master: str = Field(pattern=r"^local(\[.+\])?$")
    driver_memory: str


class Settings(Section):
    """All settings, one section per stage."""

    ingest: IngestSettings
    fetch: FetchSettings
    decode: DecodeSettings
    describe: DescribeSettings
    learn: LearnSettings
    knn: KnnSettings
    components: ComponentsSettings
    filter: FilterSettings
    copies: CopySettings
    agreement: AgreementSettings
    index: IndexSettings
    suggest: SuggestSettings
    serve: ServeSettings
    evaluate: EvaluateSettings
    spark: SparkSettings

    @model_validator(mode="after")
    def _countable(self) -> Settings:
        frames = self.describe.frame_rate_hz * self.decode.max_duration_s
        if frames >= MAX_FRAMES:
            raise ValueError(
                f"decode.max_duration_s at describe.frame_rate_hz makes {frames:.0f} frames of a video, and sample ids "
                f"have room for {MAX_FRAMES}"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _fill_steps(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A step that names no k, min_size, min_videos or min_share takes those of [knn] and [components]."""
        try:
            selection = {key: values["components"][key] for key in ("min_size", "min_videos", "min_share")}
            defaults = {"k": values["knn"]["k"]} | selection
            strategies = {
                name: _with_defaults(strategy, defaults) for name, strategy in values["filter"]["strategies"].items()
            }
        except (KeyError, TypeError, AttributeError):
            return values  # malformed: field validation says where
        return values | {"filter": values["filter"] | {"strategies": strategies}}


def _with_defaults(strategy: Any, defaults: dict[str, Any]) -> Any:
    """A strategy as it is written, a list of steps or a table, as a table whose steps have all keys."""
    try:
        table = strategy if isinstance(strategy, dict) else {"steps": strategy}
        return table | {"steps": [defaults | step for step in table["steps"]]}
    except (KeyError, TypeError):
        return strategy  # malformed: field validation says where


def load_settings(
    overlays: Sequence[Path] = (), assignments: Sequence[str] = (), options: Mapping[str, str] = MappingProxyType({})
) -> Settings:
    """Settings from conf/default.toml, then each overlay file, then each `section.key=value`, then those of options.

    An overlay named without a folder that is not here is looked up in avlib's conf folder (`demo.toml`).
    options: `section.key=value` → the option of a command that stands for it, as typed.
    Raises ConfigError naming the file (or --set, or the option) and the key.

    >>> load_settings(assignments=["filter.strategy=V+A", "knn.k=50"]).filter.steps[0].k
    50
    >>> load_settings(assignments=["knn.kk=50"])
    Traceback (most recent call last):
    avlib.errors.ConfigError: --set knn.kk=50: knn.kk: no such key; conf/default.toml lists them all
    """
    merged, origins = read_layers(overlays, assignments, options)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, origins)) from None


_OF_A_UNION = re.compile(r"constrained-\w+|literal\[.*\]")  # pydantic's name of one of several types of a value


def _explain(error: ValidationError, origins: Origins) -> str:
    first = error.errors()[0]
    location = tuple(str(part) for part in first["loc"] if not _OF_A_UNION.fullmatch(str(part)))
    prefixes = (location[:length] for length in range(len(location), 0, -1))
    source = next((origins[prefix] for prefix in prefixes if prefix in origins), "settings")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "no such key; conf/default.toml lists them all"
    elif first["type"] not in ("value_error", "missing"):
        message = f"{message[0].lower()}{message[1:]}, not {first['input']!r}"
    return f"{source}: {'.'.join(location)}: {message}"
