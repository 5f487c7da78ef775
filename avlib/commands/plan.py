"""`avlib plan`: what a collection would take, calculated. Starts no Spark and opens no video."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from avlib.commands.options import AsJson, Assign, Config, Debug, InputsArgument, Strategy, chosen_settings
from avlib.config import Settings
from avlib.errors import InputError
from avlib.planning.rates import Calibration, default_place, read_rates, write_rates
from avlib.planning.sizes import Cluster, Collection

CORES = os.cpu_count() or 1
MEMORY_GB = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1) if hasattr(os, "sysconf") else 16.0


def plan(
    inputs: InputsArgument = [],
    videos: Annotated[int | None, typer.Option("--videos", help="So many, instead of inputs.")] = None,
    mean_seconds: Annotated[
        float | None,
        typer.Option("--mean-seconds", help="Of a video. A manifest with a column duration_s needs none."),
    ] = None,
    kept_share: Annotated[
        float, typer.Option("--kept-share", help="Frames louder than the median, of all: a half by construction.")
    ] = 0.5,
    largest_share: Annotated[
        float,
        typer.Option("--largest-share", help="Samples in the largest component after each step, of all: a guess."),
    ] = 1.0,
    machines: Annotated[int, typer.Option("--machines", help="Of the cluster.")] = 1,
    cores: Annotated[int, typer.Option("--cores", help="Of one machine; default: this one's.")] = CORES,
    memory_gb: Annotated[float, typer.Option("--memory-gb", help="Of one machine; default: this one's.")] = MEMORY_GB,
    gpus: Annotated[int, typer.Option("--gpus", help="Of all machines together.")] = 0,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="First measure this machine's rates, about a minute, and keep them.")
    ] = False,
    rates: Annotated[
        Path | None, typer.Option("--rates", help="File of rates; default: avlib/rates.json in your cache folder.")
    ] = None,
    strategy: Strategy = None,
    config: Config = [],
    assign: Assign = [],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What a collection would take, calculated: samples, bytes, FLOPs, memory, hours on a cluster. Nothing is run."""
    settings = chosen_settings(config, assign, strategy)
    cluster = Cluster(machines, cores, memory_gb, gpus)
    named = bool(inputs) or videos is not None
    collection = _collection(inputs, videos, mean_seconds, kept_share, settings) if named else None
    if collection is None and not calibrate:
        raise InputError("plan: name inputs or a manifest, or give --videos and --mean-seconds; or --calibrate")
    known = _calibrated(settings, rates) if calibrate else _known(rates)
    if collection is None:
        from avlib.planning.text import rates_as_text

        assert known is not None  # as it was calibrated just now
        typer.echo(known.model_dump_json(indent=1) if as_json else rates_as_text(known))
        return
    from avlib.planning.pictures import picture_model
    from avlib.planning.plan import make_plan
    from avlib.planning.stages import Given
    from avlib.planning.text import plan_as_text

    model = picture_model(settings.describe)
    made = make_plan(Given(collection, settings, cluster, model, known, largest_share))
    typer.echo(json.dumps(made.as_json(), indent=1) if as_json else plan_as_text(made))


def _collection(
    inputs: list[str], videos: int | None, mean_seconds: float | None, kept_share: float, settings: Settings
) -> Collection:
    from avlib.planning.counting import count_videos

    if inputs and videos is not None:
        raise InputError(f"--videos {videos}: leave it out, or the inputs: {', '.join(inputs)}")
    counted, mean_s = count_videos(inputs, settings) if videos is None else (videos, None)
    mean_s = mean_seconds if mean_seconds is not None else mean_s
    if mean_s is None:
        raise InputError("--mean-seconds is missing: plan opens no video; give the mean duration")
    return Collection(counted, mean_s, kept_share)


def _known(rates: Path | None) -> Calibration | None:
    """What the file says; without one that was named, and without the usual one, None."""
    place = rates or default_place()
    return read_rates(place) if rates is not None or place.exists() else None


def _calibrated(settings: Settings, rates: Path | None) -> Calibration:
    from avlib.planning.calibrate import calibrate_apart

    place = rates or default_place()
    typer.echo("measuring this machine, about a minute", err=True)
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > CORES / 2:
        typer.echo(f"it is busy (load {os.getloadavg()[0]:.1f}): rates may come out too low", err=True)
    known = calibrate_apart(settings, folder=place.parent)
    write_rates(known, place)
    typer.echo(f"rates written to {place}", err=True)
    return known
