"""`avlib forget`: videos that shall be in a warehouse no more."""

from __future__ import annotations

from typing import Annotated

import typer

from avlib.commands.options import Assign, Config, Debug, Warehouse, chosen_settings
from avlib.errors import ConfigError
from avlib.storage import for_spark

_SHOWN = 20  # uris


def forget(
    warehouse: Warehouse,
    inputs: Annotated[list[str], typer.Argument(help="Videos by path or URI, folders above them, or patterns.")] = [],
    missing: Annotated[bool, typer.Option("--missing", help="Those whose file is there no more.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without, only say what would go.")] = False,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Drop videos and all that was made of them: samples, descriptions, their part of collections. Says what would go.

    All indexes go too, as any may hold them. The bytes go when the tables are vacuumed; the paths are printed.
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
    videos = "1 video" if len(found.videos) == 1 else f"{len(found.videos)} videos"
    typer.echo(f"{videos}, {found.samples} samples{of_filters}")
    if not found.videos:
        return
    typer.echo("all indexes go with them, as any may hold them")
    if not yes:
        typer.echo("nothing is done yet: add --yes")
        return
    changed = stage.run(store, found)
    typer.echo("old files hold the rows until they are vacuumed, once no run and no reader needs them:")
    for place in stage.places(store):
        typer.echo(f"  VACUUM delta.`{for_spark(place)}`;")
    typer.echo("VACUUM keeps all files younger than 7 days. Where nothing else is at work, these remove them at once:")
    typer.echo("  SET spark.databricks.delta.retentionDurationCheck.enabled = false;")
    typer.echo("  VACUUM delta.`…` RETAIN 0 HOURS;")
    for name in changed:
        typer.echo(f"the collection {name} has changed: run `avlib filter --warehouse {warehouse} --name {name}`")
        typer.echo("  with the settings it was made with, which the table `runs` has")
    typer.echo(f"there is no index any more: run `avlib index --warehouse {warehouse} --name …` for each collection")
    typer.echo("a file that still lies where it was ingested from comes back with the next ingest of its folder")
