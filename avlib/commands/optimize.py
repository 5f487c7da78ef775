"""`avlib optimize`: few large files instead of many small ones."""

from __future__ import annotations

import typer

from avlib.commands.options import Assign, Config, Debug, Warehouse, chosen_settings


def optimize(
    warehouse: Warehouse,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Tables that have grown by many runs → few large files. Rows stay, nothing has to be run again.

    Those that another run writes for longer than a minute are left as they are: then it is named, and the exit code
    is 2.
    """
    settings = chosen_settings(config, assign)
    from avlib.spark import optimize as stage
    from avlib.spark.session import get_session
    from avlib.spark.store import TableStore

    for table, before, after in stage.run(TableStore(get_session(settings.spark), warehouse)):
        typer.echo(f"{table.name:<20} {before:>6} → {after} files")
    typer.echo("the old files stay for readers until they are vacuumed: see README, Run it again")
