"""`avlib suggest`: sounds for pictures, pictures for sounds, as files. Starts no Spark."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from avlib.commands.options import AsJson, Assign, Config, Debug, Name, Warehouse, chosen_settings, standing_for
from avlib.errors import ParameterError


def suggest(
    queries: Annotated[list[Path], typer.Argument(help="Query pictures; or sounds or videos, to get pictures.")],
    warehouse: Warehouse,
    name: Name = "default",
    top: Annotated[int | None, typer.Option("--top", "-m", min=1, help="Suggestions for a query.")] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", "-s", help="Seconds of sound; auto: as long as the sound goes on.")
    ] = None,
    diverse: Annotated[bool, typer.Option("--diverse", help="Sounds that differ from one another.")] = False,
    region: Annotated[
        str | None,
        typer.Option("--region", metavar="X,Y,W,H", help="The part of the picture that counts, as shares of it."),
    ] = None,
    mux: Annotated[bool, typer.Option("--mux", help="Also an MP4 of the picture with each sound.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.")] = Path("suggestions"),
    as_json: AsJson = False,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Sounds for pictures: the nearest clean samples, their sound as WAV files. For sounds: pictures."""
    length = standing_for("suggest.duration_s", "--duration", _seconds_or_auto(duration))
    settings = chosen_settings(config, assign, options=standing_for("suggest.top", "--top", top) | length)
    from avlib.media import Region
    from avlib.retrieval.answers import Workshop, as_text
    from avlib.retrieval.answers import as_json as answers_as_json
    from avlib.retrieval.suggest import Suggester, Wish
    from avlib.sources import Sources
    from avlib.warehouse import Warehouse as WarehouseReader

    part = None if region is None else Region.parse(region)
    suggester = Suggester(WarehouseReader(warehouse, name=name), settings.suggest)
    wish = Wish.of(settings.suggest, diverse=diverse, region=part)
    with Sources(settings.fetch, settings.decode) as sources:
        workshop = Workshop(sources, settings.suggest, out, settings.ingest.extensions, films=mux)
        answers = workshop.answer_all(suggester, queries, wish)
    typer.echo(answers_as_json(answers) if as_json else as_text(answers))
    if any(answer.error for answer in answers):
        raise typer.Exit(2)


def _seconds_or_auto(duration: str | None) -> float | str | None:
    """The option as a setting's value."""
    if duration is None or duration == "auto":
        return duration
    try:
        seconds = float(duration)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    raise ParameterError("--duration", duration, "seconds, such as 2.5, or auto")
