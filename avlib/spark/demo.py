"""What `avlib demo` runs: makes videos, filters them, suggests sounds, measures, writes the report."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np

import avlib
from avlib.config import Settings
from avlib.demo import FLAWED, make_collection, write_flawed
from avlib.descriptors import normalise_visual
from avlib.errors import InputError
from avlib.evaluation import (
    Labels,
    RetrievalRates,
    StrArray,
    answer_rates,
    read_labels,
    read_visual,
    retrieval_rates,
)
from avlib.inputs import find_inputs, video_name
from avlib.media import open_picture
from avlib.report import Findings, RateRow, read_findings, write_report
from avlib.retrieval.answers import Answer, Workshop
from avlib.retrieval.suggest import Suggester, Wish
from avlib.sources import Sources
from avlib.warehouse import Warehouse

_MARK = ".avlib-demo"
_SAY_EVERY = 6

_NOTE = "The videos are made up and the labels known; nothing was fitted to them."


def show(out: Path, settings: Settings) -> None:
    """Run the demo in a folder: out/videos, labels.csv, queries, warehouse, suggestions, report.html.

    Besides the videos of the collection there are two that give nothing.

    A folder that an earlier demo made is used again; what is done in it is not done again.
    Raises InputError for a folder that holds anything else.
    """
    from avlib.spark.progress import say

    started = time.monotonic()
    say("1/4 videos with known labels")
    _make_videos(out)
    say(f"2/4 every stage of the pipeline, pictures described by {settings.describe.visual_model}")
    _run_pipeline(out, settings)
    say("3/4 sounds for held-out pictures")
    warehouse = Warehouse(str(out / "warehouse"))
    labels = read_labels(out / "labels.csv")
    findings = read_findings(warehouse, labels=labels)
    pictures = sorted((out / "queries").glob("*/*.png"))
    suggester = Suggester(warehouse, settings.suggest)
    with Sources(settings.fetch, settings.decode) as sources:
        workshop = Workshop(sources, settings.suggest, out / "suggestions")
        answers = workshop.answer_all(suggester, pictures, Wish.of(settings.suggest))
    kept_rates = _answer_rates(answers, labels, top=settings.suggest.top)
    rates = (
        RateRow("the collection", kept_rates),
        RateRow(
            "all samples, unfiltered",
            _unfiltered_rates(warehouse, findings, suggester, pictures, top=settings.suggest.top),
        ),
    )
    say("4/4 the report")
    with Sources(settings.fetch, settings.decode) as sources:
        report = out / "report.html"
        write_report(report, findings, sources=sources, title="avlib demo", note=_NOTE, answers=answers, rates=rates)
    sys.stdout.write(_summary(findings, rates, seconds=time.monotonic() - started))
    sys.stdout.write(f"report      {report}: open it in a browser\n")
    command = sys.argv[0] if Path(sys.argv[0]).name == "avlib" else "avlib"
    sys.stdout.write(f"next        {command} suggest {pictures[0]} --warehouse {out / 'warehouse'}\n")
    sys.stdout.write(f"            {command} serve --warehouse {out / 'warehouse'}\n")


def _make_videos(out: Path) -> None:
    """Make the collection, unless this version of avlib has made it there already."""
    from avlib.spark.progress import say

    mark, made_by = out / _MARK, f"avlib {avlib.__version__}, with {' and '.join(FLAWED)}\n"
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: a file; give --out a folder")
    if out.exists() and any(out.iterdir()):
        if not mark.exists():
            raise InputError(f"{out}: holds files the demo did not make; give --out a new or an empty folder")
        if mark.read_text() == made_by:
            say("  already there")
            return
    for folder in (
        "videos",
        "queries",
        "warehouse",
        "suggestions",
    ):  # of an interrupted demo or another version
        shutil.rmtree(out / folder, ignore_errors=True)
    try:
        out.mkdir(parents=True, exist_ok=True)
        mark.write_text("")
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); give --out another folder") from None

    def progress(done: int, videos: int) -> None:
        if done % _SAY_EVERY == 0 or done == videos:
            say(f"  {done} of {videos} videos")

    made = make_collection(out, progress=progress)
    write_flawed(made.videos_dir)
    mark.write_text(made_by)


def _run_pipeline(out: Path, settings: Settings) -> None:
    from avlib.spark import pipeline
    from avlib.spark.session import get_session
    from avlib.spark.store import TableStore

    store = TableStore(get_session(settings.spark), str(out / "warehouse"))
    pipeline.run(store, settings, find_inputs([str(out / "videos")], extensions=settings.ingest.extensions))


def _answer_rates(answers: list[Answer], labels: Labels, *, top: int) -> RetrievalRates:
    """How often the suggestions are right: what is heard, and seen, at the suggested moment."""
    sound, picture = [], []
    for answer in answers:
        videos = [video_name(suggestion.uri) for suggestion in answer.suggestions]
        truth = labels.at(videos, np.array([suggestion.time_s for suggestion in answer.suggestions]))
        missing = [""] * (top - len(videos))
        sound.append([*truth.sound, *missing])
        picture.append([*truth.picture, *missing])
    categories = _categories([Path(answer.query) for answer in answers])
    return answer_rates(categories, np.array(sound, dtype=np.str_), np.array(picture, dtype=np.str_))


def _unfiltered_rates(
    warehouse: Warehouse, findings: Findings, suggester: Suggester, pictures: list[Path], *, top: int
) -> RetrievalRates:
    """The same where nothing is filtered: the nearest of all samples."""
    queries = np.stack([suggester.describe(open_picture(picture)) for picture in pictures])
    samples = normalise_visual(read_visual(warehouse))
    assert findings.truth is not None  # the demo has labels
    return retrieval_rates(queries, _categories(pictures), samples, findings.truth, m=top)


def _categories(pictures: list[Path]) -> StrArray:
    """A held-out picture lies in a folder named for its category."""
    return np.array([picture.parent.name for picture in pictures], dtype=np.str_)


def _summary(findings: Findings, rates: tuple[RateRow, ...], *, seconds: float) -> str:
    kept, total = int(findings.kept.sum()), len(findings.samples)
    before, after = findings.clean_before, findings.clean_after
    assert before is not None and after is not None  # the demo has labels
    components = findings.steps[-1].components
    m, queries = rates[0].rates.m, rates[0].rates.queries
    lines = [
        "",
        f"kept        {kept} of {total} samples ({kept / total:.0%}) in {components} components",
        f"clean       {before.share:.0%} of all samples, {after.share:.0%} of those kept, by the labels",
        f"pictures    described by {findings.visual_descriptor}",
        f"suggested   sounds for {queries} held-out pictures; share that are right, by the labels:",
        _row("nearest among", "best sound", f"majority of {m}", "best picture"),
    ]
    for row in rates:
        shares = (row.rates.best_sound, row.rates.majority_sound, row.rates.best_picture)
        lines.append(_row(row.name, *(f"{share:.0%}" for share in shares)))
    lines.append(f"            {_NOTE}")
    return "\n".join([*lines, f"time        {seconds:.0f} s", ""])


def _row(name: str, *cells: str) -> str:
    return " " * 12 + f"{name:<26}" + "".join(f"{cell:>16}" for cell in cells)
