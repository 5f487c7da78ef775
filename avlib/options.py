"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from avlib.config import Settings, load_settings
from avlib.errors import ConfigError

InputsArgument = Annotated[
    list[str], typer.Argument(help="Files, folders, globs, or a CSV/Parquet/text manifest with a uri column.")
]
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


def chosen_settings(
    config: list[Path], assign: list[str], strategy: str | None = None, keep: float | None = None
) -> Settings:
    """Settings from these options. Raises ConfigError as load_settings does."""
    given = {"filter.strategy": strategy, "agreement.keep": keep}
    chosen = [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
    settings = load_settings(config, [*assign, *chosen])
    if keep is not None and not settings.filter.scored:
        raise ConfigError(f"--keep: strategy {settings.filter.strategy} has no scores; add --strategy agreement")
    return settings
