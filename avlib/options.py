"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from avlib.config import Settings, load_settings

InputsArgument = Annotated[
    list[str], typer.Argument(help="Files, folders, globs, or a CSV/Parquet/text manifest with a uri column.")
]
Config = Annotated[list[Path], typer.Option("--config", help="TOML file laid over conf/default.toml; repeatable.")]
Assign = Annotated[list[str], typer.Option("--set", help="One setting, e.g. --set knn.k=50; repeatable.")]
Strategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help="V+A (default; suggests best), A+V (gives the cleanest collection), joint, or one from your settings.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable answer on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error, and Spark's own log.")]


def chosen_settings(config: list[Path], assign: list[str], strategy: str | None = None) -> Settings:
    """Settings from these options. Raises ConfigError as load_settings does."""
    chosen = [] if strategy is None else [f"filter.strategy={json.dumps(strategy)}"]
    return load_settings(config, [*assign, *chosen])
