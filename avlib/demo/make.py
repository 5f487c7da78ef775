"""Make the demo's collection: video files, their labels, and held-out query pictures."""

from __future__ import annotations

import csv
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from avlib.demo.encode import write_video
from avlib.demo.plan import CATEGORIES, VideoPlan, plan_videos
from avlib.demo.render import pictures, query_picture, soundtrack
from avlib.errors import InputError, ParameterError

QUERIES_PER_CATEGORY = 4

LABEL_COLUMNS = (
    "video",
    "start_s",
    "end_s",
    "picture_category",
    "sound_category",
    "is_clean",
    "video_category",
)


@dataclass(frozen=True)
class DemoCollection:
    """Where a demo collection lies, and what is in it."""

    videos_dir: Path
    labels_csv: Path
    queries_dir: Path
    categories: tuple[str, ...]
    videos: int
    duration_s: float
    clean_s: float


def make_collection(
    out: Path,
    *,
    videos: int = 36,
    seed: int = 0,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DemoCollection:
    """Write out/videos/*, out/labels.csv and out/queries/CATEGORY/qNN.png.

    The same seed gives the same pictures, sounds and labels, whatever the number of processes (default: one
    per core). progress(done, videos) is called after every video. Files of an earlier run with as many
    videos are overwritten. Raises ParameterError for videos or processes below 1 or a negative seed, and
    InputError if out/videos holds files that are not this collection's.
    """
    for name, value, least in (
        ("videos", videos, 1),
        ("processes", 1 if processes is None else processes, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ParameterError(name, value, f"a whole number, {least} or more")
    plans = plan_videos(videos, seed=seed)
    made = DemoCollection(
        videos_dir=out / "videos",
        labels_csv=out / "labels.csv",
        queries_dir=out / "queries",
        categories=CATEGORIES,
        videos=videos,
        duration_s=sum(plan.duration_s for plan in plans),
        clean_s=sum(s.end_s - s.start_s for plan in plans for s in plan.stretches if s.sound == plan.category),
    )
    _prepare(made.videos_dir, {plan.name for plan in plans})
    write = partial(_write_one, folder=made.videos_dir, seed=seed)
    for done, _ in enumerate(_spread(write, plans, processes or os.cpu_count() or 1), start=1):
        if progress:
            progress(done, videos)
    _write_queries(made.queries_dir, seed=seed)
    _write_labels(made.labels_csv, plans)
    return made


def _prepare(folder: Path, names: set[str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted({path.name for path in folder.iterdir()} - names)
    except OSError as error:
        raise InputError(f"{folder}: cannot write the demo there ({error.strerror}); give another folder") from error
    if strangers:
        raise InputError(f"{folder}: holds other files ({strangers[0]}, …); give an empty or a new folder")


def _spread(write: Callable[[VideoPlan], None], plans: list[VideoPlan], processes: int) -> Iterable[None]:
    if processes == 1:
        return map(write, plans)
    return _in_processes(write, plans, min(processes, len(plans)))


def _in_processes(write: Callable[[VideoPlan], None], plans: list[VideoPlan], processes: int) -> Iterable[None]:
    # Spawned, not forked: the caller may already hold threads (a JVM gateway, OpenMP).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(write, plans)


def _write_one(plan: VideoPlan, *, folder: Path, seed: int) -> None:
    write_video(folder / plan.name, plan.format, pictures(plan, seed=seed), soundtrack(plan, seed=seed))


def _write_queries(folder: Path, *, seed: int) -> None:
    for category in CATEGORIES:
        (folder / category).mkdir(parents=True, exist_ok=True)
        for number in range(QUERIES_PER_CATEGORY):
            picture = Image.fromarray(query_picture(category, number, seed=seed))
            picture.save(folder / category / f"q{number:02d}.png")


def _write_labels(path: Path, plans: list[VideoPlan]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LABEL_COLUMNS)
        for plan in plans:
            for stretch in plan.stretches:
                clean = int(stretch.sound == plan.category)
                times = (f"{stretch.start_s:.2f}", f"{stretch.end_s:.2f}")
                writer.writerow((plan.name, *times, plan.category, stretch.sound, clean, plan.category))
