"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from avlib.config import Settings, load_settings
from avlib.errors import ConfigError

InputsArgument = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders, globs, s3:// or http(s):// URIs; or a manifest: CSV or Parquet with a column uri, or "
        "text with one a line."
    ),
]
Warehouse = Annotated[str, typer.Option("--warehouse", "-w", help="Folder or URI that holds all tables.")]
Name = Annotated[str, typer.Option("--name", help="Which filter run.")]
Config = Annotated[list[Path], typer.Option("--config", help="TOML file laid over conf/default.toml; repeatable.")]
Assign = Annotated[list[str], typer.Option("--set", help="One setting, e.g. --set knn.k=50; repeatable.")]
Strategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help="agreement (beyond the paper), V+A, A+V, joint (the paper's), or one from your settings.",
    ),
]
Keep = Annotated[
    float | None,
    typer.Option(
        "--keep",
        min=1e-9,
        max=1,
        help="Share of the samples that agreement keeps; else as agreement.doubt says.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable answer on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error, and Spark's own log.")]


def standing_for(key: str, option: str, value: object) -> dict[str, str]:
    """The setting that an option stands for, and the option as typed, for messages; nothing where it was not given."""
    return {} if value is None else {f"{key}={json.dumps(value)}": f"{option} {value}"}


def chosen_settings(
    config: list[Path],
    assign: list[str],
    strategy: str | None = None,
    keep: float | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Settings:
    """Settings from these options.  options: of a command's own (see `standing_for`). Raises ConfigError."""
    chosen = standing_for("filter.strategy", "--strategy", strategy) | standing_for("agreement.keep", "--keep", keep)
    settings = load_settings(config, assign, chosen | dict(options))
    if keep is not None and not settings.filter.scored:
        raise ConfigError(f"--keep: strategy {settings.filter.strategy} has no scores; add --strategy agreement")
    return settings
