"""`avlib serve`: the page in which pictures get sounds, and its JSON API. Starts no Spark."""

from __future__ import annotations

import errno
import socket
from typing import Annotated

import typer

from avlib.commands.options import Assign, Config, Debug, Name, Warehouse, chosen_settings
from avlib.errors import ConfigError


def serve(
    warehouse: Warehouse,
    name: Name = "default",
    host: Annotated[str, typer.Option("--host", help="Address to listen at; the default is this machine only.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8765,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """A page that suggests sounds for pictures, and pictures for sounds; with a JSON API."""
    settings = chosen_settings(config, assign)
    from avlib.warehouse import Warehouse as WarehouseReader
    from avlib.web import Engine
    from avlib.web import serve as serve_page
    from avlib.web.guard import is_loopback

    if not is_loopback(host):
        typer.echo(f"avlib serve: everybody who reaches {host} may use the page; it asks for no password", err=True)
    engine = Engine(WarehouseReader(warehouse, name=name), settings)
    try:
        serve_page(engine, host=host, port=port, say=lambda address: typer.echo(f"{address}  (Ctrl-C ends it)"))
    except OSError as error:
        if isinstance(error, socket.gaierror):
            raise ConfigError(f"--host {host} is no address of this machine; give one, or 0.0.0.0 for all") from None
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        raise ConfigError(f"{host}:{port} cannot be listened at; give another --port") from None
