"""`avlib evaluate`: the paper's experiments on labelled videos of a warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avlib.commands.options import Assign, Config, Debug, Strategy, Warehouse, chosen_settings, standing_for
from avlib.errors import InputError

if TYPE_CHECKING:
    from avlib.config import Settings
    from avlib.listening import Item

app = typer.Typer(
    name="evaluate",
    help="The paper's experiments, on videos that labels speak of.",
    epilog="Example: avlib evaluate corruption -w /data/warehouse --labels labels.csv",
    no_args_is_help=True,
)

LabelsFile = Annotated[
    Path,
    typer.Option(
        "--labels",
        help="CSV: video, start_s, end_s, picture_category, sound_category, is_clean. `silence` is no sound.",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for CSV files and plots.")]
Ratios = Annotated[
    str | None, typer.Option("--ratios", help="Shares of sounds to replace: FIRST:LAST:STEP, or a list 0,0.3,0.6.")
]
Strategies = Annotated[
    str | None,
    typer.Option("--strategies", help="List: unfiltered, random, and strategies of the settings."),
]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="Repetitions, each with another seed.")]
Unit = Annotated[str | None, typer.Option("--unit", help="What is replaced at a time: frame, segment or video.")]
ReplaceFrom = Annotated[
    str | None, typer.Option("--replace-from", help="By sounds outside the categories (outside), or other-category.")
]
AsConfigured = Annotated[
    bool, typer.Option("--as-configured", help="Take k and min_size from the settings; choose nothing.")
]


_TRUTH = "truth"  # as an arm of the user study: the query's own sound


@app.command(epilog="Example: avlib evaluate corruption -w /data/warehouse --labels labels.csv --ratios 0:0.9:0.1")
def corruption(
    warehouse: Warehouse,
    labels: LabelsFile,
    ratios: Ratios = None,
    strategies: Strategies = None,
    seeds: Seeds = None,
    unit: Unit = None,
    replace_from: ReplaceFrom = None,
    as_configured: AsConfigured = False,
    out: Out = Path("evaluation"),
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Replace the sounds of more and more clean samples, filter, suggest sounds for held-out pictures (Fig. 3)."""
    given = {
        "ratios": _numbers("--ratios", ratios),
        "strategies": _words(strategies),
        "seeds": seeds,
        "unit": unit,
        "replace_from": replace_from,
        "choose": False if as_configured else None,
    }
    _run(warehouse, labels, out, chosen_settings(config, assign, options=_options(given)))


@app.command(epilog="Example: avlib evaluate size -w /data/warehouse --labels labels.csv --shares 0.2,0.5,1")
def size(
    warehouse: Warehouse,
    labels: LabelsFile,
    shares: Annotated[
        str, typer.Option("--shares", help="Shares of the training samples to use: FIRST:LAST:STEP, or a list.")
    ] = "0.1:1:0.1",
    ratios: Ratios = "0,0.3,0.6",
    strategies: Strategies = None,
    seeds: Seeds = None,
    as_configured: AsConfigured = False,
    out: Out = Path("evaluation"),
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """The same with fewer and more training samples: classification rate and size of what is kept (Fig. 4)."""
    given = {
        "shares": _numbers("--shares", shares),
        "ratios": _numbers("--ratios", ratios),
        "strategies": _words(strategies),
        "seeds": seeds,
        "choose": False if as_configured else None,
    }
    _run(warehouse, labels, out, chosen_settings(config, assign, options=_options(given)))


@app.command("no-labels", epilog="Example: avlib evaluate no-labels -w /data/warehouse --strategy A+V")
def no_labels(
    warehouse: Warehouse,
    strategy: Strategy = None,
    seeds: Seeds = None,
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """Without labels: what a strategy keeps, how stable that is, what it keeps of shuffled sound. Also --no-labels."""
    settings = chosen_settings(config, assign, strategy, options=_options({"seeds": seeds}))
    from avlib.spark import unlabelled as stage
    from avlib.spark.session import get_session
    from avlib.spark.store import TableStore

    typer.echo(stage.as_text(stage.run(TableStore(get_session(settings.spark), warehouse), settings)))


@app.command("listening-sheet", epilog="Example: avlib evaluate listening-sheet -w /data/warehouse --each 20")
def listening_sheet(
    warehouse: Warehouse,
    name: Annotated[str, typer.Option("--name", help="Which filter run; not with --arms.")] = "default",
    arms: Annotated[
        str | None,
        typer.Option("--arms", help="With --labels, the paper's user study: list of truth, unfiltered, strategies."),
    ] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="As for corruption.")] = None,
    ratio: Annotated[float, typer.Option("--ratio", help="With --arms: share of sounds replaced.")] = 0.6,
    each: Annotated[
        int,
        typer.Option("--each", min=1, help="Kept samples, and as many dropped; with --arms, pictures of a category."),
    ] = 10,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw and the order.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder for the sheet and its key.")] = Path("listening"),
    config: Config = [],
    assign: Assign = [],
    debug: Debug = False,
) -> None:
    """A page to judge by ear, blind, how well sounds fit pictures: of samples kept and dropped, or of several arms."""
    if (arms is None) != (labels is None):
        raise InputError("--arms and --labels go together: the study needs both, kept and dropped samples neither")
    if arms is None or labels is None:
        settings = chosen_settings(config, assign)
        items = _kept_and_dropped(warehouse, name, each=each, seed=seed)
    else:
        wanted = [word for word in _words(arms) or [] if word != _TRUTH]
        given = {"strategies": wanted, "ratios": [ratio], "seed": seed}
        settings = chosen_settings(config, assign, options=_options(given))
        items = _of_arms(warehouse, settings, labels, each=each, truth=_TRUTH in (_words(arms) or []))
    from avlib.listening import write_sheet
    from avlib.sources import Sources

    with Sources(settings.fetch, settings.decode) as sources:
        sheet, key, left_out = write_sheet(items, sources, out, seed=seed)
    if left_out == len(items):
        raise InputError(f"none of the videos can be read, such as {items[0].picture.uri}: are they where they were?")
    if left_out:
        typer.echo(f"{left_out} of {len(items)} items are left out: their videos cannot be read", err=True)
    typer.echo(f"{sheet}: open it in a browser, then: avlib evaluate listening {key} answers.csv")


@app.command(epilog="Example: avlib evaluate listening listening/listening_key.csv anna.csv ben.csv")
def listening(
    key: Annotated[Path, typer.Argument(help="listening_key.csv of the sheet.")],
    answers: Annotated[list[Path], typer.Argument(help="Saved answers, a file for each listener.")],
    debug: Debug = False,
) -> None:
    """Answers to a listening sheet, summed up."""
    from avlib.listening.answers import as_text, sum_up

    typer.echo(as_text(sum_up(key, answers)))


def _kept_and_dropped(warehouse: str, name: str, *, each: int, seed: int) -> list[Item]:
    from avlib.evaluation import read_run
    from avlib.listening import draw_items
    from avlib.warehouse import Warehouse as WarehouseReader

    samples, kept = read_run(WarehouseReader(warehouse, name=name))
    return draw_items(samples, kept, each=each, seed=seed)


def _of_arms(warehouse: str, settings: Settings, labels: Path, *, each: int, truth: bool) -> list[Item]:
    from avlib.evaluation import read_labels

    found = read_labels(labels)  # before Spark starts
    from avlib.spark import study
    from avlib.spark.session import get_session
    from avlib.spark.store import TableStore

    return study.run(TableStore(get_session(settings.spark), warehouse), settings, found, each=each, truth=truth)


def _run(warehouse: str, labels: Path, out: Path, settings: Settings) -> None:
    from avlib.evaluation import read_labels
    from avlib.evaluation.summary import as_text, means

    found = read_labels(labels)  # before Spark starts
    from avlib.spark import evaluation as stage
    from avlib.spark.session import get_session
    from avlib.spark.store import TableStore

    outcomes = stage.run(TableStore(get_session(settings.spark), warehouse), settings, found)
    rows = means(outcomes, folds=settings.evaluate.folds)
    stage.write_files(outcomes, rows, settings.evaluate, out)
    typer.echo(as_text(rows))


def _options(given: Mapping[str, object]) -> dict[str, str]:
    """Settings of [evaluate] by their keys, and the options they were given by."""
    found: dict[str, str] = {}
    for key, value in given.items():
        found |= standing_for(f"evaluate.{key}", f"--{_NAMED_OTHERWISE.get(key, key).replace('_', '-')}", value)
    return found


_NAMED_OTHERWISE = {"choose": "as_configured"}


def _words(said: str | None) -> list[str] | None:
    return None if said is None else [word.strip() for word in said.split(",")]


def _numbers(option: str, said: str | None) -> list[float] | None:
    """FIRST:LAST:STEP, with LAST in it where the steps lead there, or numbers with commas."""
    if said is None:
        return None
    try:
        if ":" not in said:
            return [float(word) for word in said.split(",")]
        first, last, step = (float(word) for word in said.split(":"))
        if found := [round(first + place * step, 9) for place in range(int((last - first) / step + 1e-9) + 1)]:
            return found
        raise ValueError
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"{option} {said}: write FIRST:LAST:STEP, as 0:0.9:0.1, or a list, as 0,0.3,0.6") from None
