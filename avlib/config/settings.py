"""Settings: conf/default.toml, overlaid by files and by --set, checked before Spark starts.

Every section is a frozen model; an unknown key or a value out of range fails naming the file and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field, ValidationError, model_validator

from avlib.config.describe import DecodeSettings, DescribeSettings, FetchSettings, IngestSettings
from avlib.config.evaluate import EvaluateSettings
from avlib.config.filter import AgreementSettings, ComponentsSettings, CopySettings, FilterSettings, KnnSettings
from avlib.config.layers import Origins, read_layers
from avlib.config.section import Section
from avlib.config.sound import LearnSettings
from avlib.config.suggest import IndexSettings, ServeSettings, SuggestSettings
from avlib.errors import ConfigError
from avlib.identity import MAX_FRAMES


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
