"""`avlib forget`: videos that shall be in a warehouse no more."""

from __future__ import annotations

from typing import Annotated

import typer

from avlib.errors import ConfigError
from avlib.options import Assign, Config, Debug, chosen_settings

_SHOWN = 20  # uris


def forget(
    warehouse: Annotated[str, typer.Option("--warehouse", "-w", help="Folder or URI that holds all tables.")],
    inputs: Annotated[list[str], typer.Argument(help="Videos by path or URI, folders above them, or patterns.")] = [],
    missing: Annotated[bool, typer.Option("--missing", help="Those whose file is there no more.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without, only say what would go.")] = False,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Drop videos and all that was made of them: samples, descriptions, their part of collections. Says what would go.

    The bytes go when the tables are vacuumed; the paths are printed.
    """
    if not inputs and not missing:
        raise ConfigError("forget: name videos, or --missing")
    settings = chosen_settings(config, assign)
    from avlib.spark import forget as stage
    from avlib.spark.session import get_session
    from avlib.spark.store import TableStore

    store = TableStore(get_session(settings.spark), warehouse)
    found = stage.find(store, inputs, missing=missing)
    for uri in list(found.videos.values())[:_SHOWN]:
        typer.echo(uri)
    if len(found.videos) > _SHOWN:
        typer.echo(f"… and {len(found.videos) - _SHOWN} more")
    of_filters = f", in the collections {', '.join(found.filters)}" if found.filters else ""
    typer.echo(f"{len(found.videos)} videos, {found.samples} samples{of_filters}")
    if not found.videos:
        return
    if not yes:
        typer.echo("nothing is done yet: add --yes")
        return
    stage.run(store, found)
    typer.echo("old files hold the rows until they are vacuumed, once no run and no reader needs them:")
    for place in found.places:
        typer.echo(f"  VACUUM delta.`{place}`")
    for name in found.filters:
        typer.echo(f"the collection {name} has changed: run `avlib filter --name {name}`, then `avlib index`")
