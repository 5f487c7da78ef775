"""The console command `avlib`, and what the files in jobs/ call. Parses, runs a stage, turns errors into exit codes.

Exit codes: 0 done; 2 a setting, an input or the warehouse is not right (one line says what to do); 3 with --strict,
some videos failed; 1 a bug.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import avlib
from avlib.commands.doctor import doctor
from avlib.commands.evaluate import app as evaluate
from avlib.commands.forget import forget
from avlib.commands.optimize import optimize
from avlib.commands.options import AsJson, Assign, Config, Debug, InputsArgument, Keep, Name, Strategy, Warehouse
from avlib.commands.options import chosen_settings as _settings
from avlib.commands.plan import plan
from avlib.commands.serve import serve
from avlib.commands.suggest import suggest
from avlib.config import Settings
from avlib.errors import in_one_line
from avlib.inputs import find_inputs
from avlib.warehouse import normalise_uri

if TYPE_CHECKING:
    from avlib.spark.store import TableStore

app = typer.Typer(
    name="avlib",
    help="Picture-sound pairs from raw web videos, and sounds for any picture.",
    epilog="Example: avlib pipeline /data/videos -w /data/warehouse, then avlib suggest picture.jpg -w /data/warehouse",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

WRITTEN_OUT = {"--retry-failed": "--retry-failed=any", "--no-labels": "no-labels"}
"""Options that typer does not know: one whose value may be left out, one that is a command."""

Step = Annotated[int, typer.Option("--step", min=0, help="Step of the strategy; 0 is the first.")]
RetryFailed = Annotated[
    str | None,
    typer.Option(
        "--retry-failed",
        metavar="[=CLASS]",
        help="Describe again what failed or was cut short by a limit; with =CLASS, all of this error class (see avlib "
        "failures), partial ones too.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 if any video failed.")]


@app.command(epilog="Example: avlib pipeline /data/videos -w /data/warehouse")
def pipeline(
    inputs: InputsArgument,
    warehouse: Warehouse,
    name: Name = "default",
    strategy: Strategy = None,
    keep: Keep = None,
    config: Config = [],
    assign: Assign = [],
    strict: Strict = False,
    debug: Debug = False,
) -> None:
    """All stages: videos in, a filtered collection that suggests sounds out."""
    settings = _settings(config, assign, strategy, keep)
    from avlib.spark import finished
    from avlib.spark.session import submitted

    found = find_inputs(inputs, extensions=settings.ingest.extensions)
    # A cluster takes a job that starts no Spark for a failed one (YARN does, in cluster mode).
    if not submitted() and finished.is_finished(warehouse, name, settings, found):
        typer.echo(f"pipeline {name}: nothing has changed", err=True)
    else:
        from avlib.models import require_weights
        from avlib.spark import pipeline as stages

        require_weights(settings.describe, warehouse=normalise_uri(warehouse))
        stages.run(_store(settings, warehouse, name), settings, found)
    _exit_strictly(normalise_uri(warehouse), strict)


@app.command(epilog="Example: avlib ingest /data/videos films.csv -w /data/warehouse")
def ingest(
    inputs: InputsArgument,
    warehouse: Warehouse,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Inputs → videos: one row per input."""
    settings = _settings(config, assign)
    from avlib.spark import ingest as stage

    stage.run(_store(settings, warehouse), settings, inputs)


@app.command(epilog="Example: avlib describe -w /data/warehouse --retry-failed=stalled")
def describe(
    warehouse: Warehouse,
    config: Config = [],
    assign: Assign = [],
    retry_failed: RetryFailed = None,
    strict: Strict = False,
    debug: Debug = False,
) -> None:
    """Videos → samples: one row per loud frame, and what came of each video."""
    settings = _settings(config, assign)
    from avlib.models import require_weights
    from avlib.spark import describe as stage

    require_weights(settings.describe, warehouse=normalise_uri(warehouse))
    store = _store(settings, warehouse)
    stage.run(store, settings, retry=retry_failed)
    _exit_strictly(store.warehouse, strict)


@app.command(epilog="Example: avlib learn -w /data/warehouse --set learn.videos=200")
def learn(
    warehouse: Warehouse,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Samples → audio_learned: a sound descriptor trained on the collection itself, without labels."""
    settings = _settings(config, assign)
    from avlib.spark import learn as stage

    stage.run(_store(settings, warehouse), settings)


@app.command("filter", epilog="Example: avlib filter -w /data/warehouse --name strict --keep 0.3")
def filter_(
    warehouse: Warehouse,
    name: Name = "default",
    strategy: Strategy = None,
    keep: Keep = None,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Samples → collection: the loop over knn, mutual_edges, components, for each step of the strategy."""
    settings = _settings(config, assign, strategy, keep)
    from avlib.spark import filter as stage

    stage.run(_store(settings, warehouse, name), settings)


@app.command(epilog="Example: avlib agreement -w /data/warehouse --set agreement.neighbors=20")
def agreement(
    warehouse: Warehouse,
    name: Name = "default",
    strategy: Strategy = "agreement",
    keep: Keep = None,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Samples → scores: how well sound goes with picture, judged by other videos; where a strategy is scored."""
    settings = _settings(config, assign, strategy, keep)
    from avlib.spark import agreement as stage

    stage.run(_store(settings, warehouse, name), settings)


def _sub_stage(name: str, run: Callable[[TableStore, Settings, int], None], explanation: str) -> None:
    def command(
        warehouse: Warehouse,
        step: Step,
        name: Name = "default",
        strategy: Strategy = None,
        config: Config = [],
        assign: Assign = [],
        debug: Debug = False,
    ) -> None:
        settings = _settings(config, assign, strategy)
        if step >= len(settings.filter.steps):
            last = len(settings.filter.steps) - 1
            raise typer.BadParameter(
                f"the last step of strategy {settings.filter.strategy} is {last}", param_hint="--step"
            )
        run(_store(settings, warehouse, name), settings, step)

    app.command(name, help=explanation, epilog=f"Example: avlib {name} -w /data/warehouse --step 0")(command)


def _run_knn(store: TableStore, settings: Settings, step: int) -> None:
    from avlib.spark import knn

    knn.run(store, settings, step)


def _run_mutual_edges(store: TableStore, settings: Settings, step: int) -> None:
    from avlib.spark import mutual_edges

    mutual_edges.run(store, step)


def _run_components(store: TableStore, settings: Settings, step: int) -> None:
    from avlib.spark import components

    components.run(store, settings, step)


def _run_collection(store: TableStore, settings: Settings, step: int) -> None:
    from avlib.spark import collection

    collection.run(store, settings, step)


_sub_stage("knn", _run_knn, "Samples → neighbors: one step's k nearest lists.")
_sub_stage("mutual_edges", _run_mutual_edges, "Neighbors → mutual_edges of one step.")
_sub_stage("components", _run_components, "Mutual edges → components of one step; small ones are dropped.")
_sub_stage("collection", _run_collection, "Components up to a step → collection.")


@app.command(epilog="Example: avlib index -w /data/warehouse --name strict")
def index(
    warehouse: Warehouse,
    name: Name = "default",
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Collection → the FAISS index that suggest reads."""
    settings = _settings(config, assign)
    from avlib.spark import index as stage

    stage.run(_store(settings, warehouse, name), settings)


@app.command(epilog="Example: avlib status -w /data/warehouse")
def status(warehouse: Warehouse, as_json: AsJson = False, debug: Debug = False) -> None:
    """What a warehouse holds: tables, outcomes, runs, whether they are up to date, and who is at work on it."""
    from avlib.inspection import read_status

    found = read_status(warehouse)
    typer.echo(json.dumps(found.as_json(), indent=1) if as_json else found.as_text())


@app.command(epilog="Example: avlib failures -w /data/warehouse --json")
def failures(warehouse: Warehouse, as_json: AsJson = False, debug: Debug = False) -> None:
    """Every video that is not ok: why, and how much of it has been kept."""
    from avlib.inspection import read_failures

    found = read_failures(warehouse)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    elif not found:
        typer.echo("every video is ok")
    for failure in found if not as_json else ():
        kind = f"{failure['error_class']}, transient" if failure["transient"] else failure["error_class"]
        length = f" of {failure['duration_s']:.1f} s" if failure["duration_s"] else ""
        kept = (
            f"; {failure['samples']} samples of {failure['covered_s']:.1f} s{length} kept" if failure["samples"] else ""
        )
        typer.echo(f"{failure['status']:<10} {failure['uri']}: {failure['error']} ({kind}{kept})")


@app.command(epilog="Example: avlib demo --out demo-out")
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for videos, warehouse and report.")] = Path("demo-out"),
    debug: Debug = False,
) -> None:
    """The whole idea in a few minutes: makes videos, filters them, suggests sounds, writes report.html."""
    settings = _settings([Path("demo.toml")], [])
    from avlib.spark.demo import show

    show(out, settings)


app.command(epilog="Example: avlib suggest picture.jpg -w /data/warehouse --top 5 --duration auto")(suggest)
app.command(epilog="Example: avlib serve -w /data/warehouse --port 8765")(serve)
app.command(epilog="Example: avlib plan --videos 1000000 --mean-seconds 60 --machines 200 --cores 16")(plan)
app.command(epilog="Example: avlib doctor -w /data/warehouse")(doctor)
app.command(epilog="Example: avlib optimize -w /data/warehouse")(optimize)
app.command(epilog="Example: avlib forget /data/videos/2019 -w /data/warehouse --yes")(forget)
app.add_typer(evaluate)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(avlib.__version__)
        raise typer.Exit


def _store(settings: Settings, warehouse: str, name: str = "default") -> TableStore:
    from avlib.spark.session import get_session
    from avlib.spark.store import TableStore as Store

    return Store(get_session(settings.spark), warehouse, name=name)


def _exit_strictly(warehouse: str, strict: bool) -> None:
    from avlib.inspection import read_failures

    if strict and any(failure["status"] == "failed" for failure in read_failures(warehouse)):
        raise typer.Exit(3)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Errors that a user can mend are one line and exit code 2; --debug shows the trace."""
    arguments = sys.argv[1:] if arguments is None else arguments
    arguments = [WRITTEN_OUT.get(argument, argument) for argument in arguments]
    try:
        app(arguments, prog_name="avlib")
    except Exception as error:
        mendable = in_one_line(error)
        if mendable is None or "--debug" in arguments:
            raise
        typer.echo(f"avlib: {mendable}", err=True)
        sys.exit(2)
