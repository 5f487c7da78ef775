"""Findings → one HTML file. Everything it shows and plays is inside it; it asks nothing of any network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

import avlib
from avlib.arrays import Int64Array
from avlib.evaluation import Truth
from avlib.inputs import video_name
from avlib.report import clips
from avlib.report.findings import Findings, RateRow
from avlib.report.picks import largest_components, spread_over_videos
from avlib.report.reasons import Reason
from avlib.retrieval.answers import Answer
from avlib.sources import Sources

COMPONENTS = 12
CLIPS_PER_COMPONENT = 8
DROPPED = 12
QUERIES = 24
SUGGESTIONS = 5


@dataclass(frozen=True)
class Card:
    """One picture with its sound.  picture: data URI or None.  sound: key in the page's sounds or None.

    clean: by labels, None without.  label: what is seen and heard by labels, empty without.
    own: what a sheet is about.
    """

    title: str
    note: str
    picture: str | None
    sound: str | None
    clean: bool | None = None
    label: str = ""
    own: bool = False


@dataclass(frozen=True)
class Sheet:
    """A contact sheet.  picture: of the query, where it is one's answers."""

    title: str
    note: str
    clips: tuple[Card, ...]
    picture: str | None = None


@dataclass(frozen=True)
class _Media:
    """The page's sounds by key, as data URIs, and what reads the videos."""

    sources: Sources
    sounds: dict[str, str] = field(default_factory=dict)


def write_report(
    to: Path,
    findings: Findings,
    *,
    sources: Sources,
    title: str,
    note: str = "",
    answers: Sequence[Answer] = (),
    rates: Sequence[RateRow] = (),
) -> Path:
    """Write the report and return its path.

    note: a sentence under the opening one.  answers: suggestions for held-out pictures; at most 24 are shown,
    spread over the list.  rates: how often suggestions are right, one row for each set of samples.
    A video that is gone costs its own clips only.
    """
    media = _Media(sources)
    page = {
        "title": title,
        "note": note,
        "findings": findings,
        "components": _components(findings, media),
        "dropped": _dropped(findings, media),
        "reasons": _reasons(findings, media),
        "queries": _queries(findings, answers, media),
        "rates": rates,
        "sounds": media.sounds,
        "version": avlib.__version__,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    environment = Environment(loader=PackageLoader("avlib.report", "."), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"share": _share}
    environment.globals |= {"sound_s": clips.SOUND_S}
    html = environment.get_template("report.html.jinja").render(page)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(html, encoding="utf-8")
    return to


def _components(findings: Findings, media: _Media) -> list[Sheet]:
    """The largest components of the last step."""
    videos = findings.samples.uris
    sheets = []
    for rows in largest_components(findings.component_ids, count=COMPONENTS):
        shown = spread_over_videos(rows, videos[rows], count=CLIPS_PER_COMPONENT)
        count = len(np.unique(videos[rows]))
        note = f"{len(rows)} samples from {count} video{'s' if count > 1 else ''}"
        clean = findings.cleanliness(rows)
        if clean is not None:
            note += f", {_share(clean.share)} clean"
        title = f"Component {findings.component_ids[rows[0]]}"
        sheets.append(Sheet(title, note, tuple(_sample_clips(findings, shown, media))))
    return sheets


def _dropped(findings: Findings, media: _Media) -> list[Card]:
    rows = np.flatnonzero(~findings.kept).astype(np.int64)
    videos = findings.samples.uris[rows]
    return list(_sample_clips(findings, spread_over_videos(rows, videos, count=DROPPED), media))


def _reasons(findings: Findings, media: _Media) -> tuple[list[Sheet], list[Sheet]]:
    """Examples of kept and of dropped samples, each with the samples of other videos that say why."""
    found = findings.reasons
    if found is None:
        return [], []
    return [_why(findings, one, media) for one in found.kept], [_why(findings, one, media) for one in found.dropped]


def _why(findings: Findings, reason: Reason, media: _Media) -> Sheet:
    rows = np.array([reason.row, *reason.beside], np.int64)
    shown = dict(zip(np.unique(rows).tolist(), _sample_clips(findings, np.unique(rows), media), strict=True))
    own, *beside = (shown[row] for row in rows.tolist())
    bear_out = f"{reason.videos} other video{'' if reason.videos == 1 else 's'} bear{'s' if reason.videos == 1 else ''}"
    note = f"score {reason.score:.2f}; {bear_out if reason.videos else 'no other video bears'} it out"
    return Sheet(f"{own.title}, {own.note}", note, (replace(own, own=True), *beside))


def _sample_clips(findings: Findings, rows: Int64Array, media: _Media) -> Iterable[Card]:
    """The samples in these ascending rows, which therefore lie video by video in order of time."""
    samples = findings.samples.take(rows)
    pictures = _pictures(media, samples.uris.tolist(), samples.times_s.tolist())
    for row, uri, time_s in zip(rows.tolist(), samples.uris.tolist(), samples.times_s.tolist(), strict=True):
        yield _clip(findings, row, media, picture=pictures[uri, time_s], note=f"{time_s:.1f} s")


def _queries(findings: Findings, answers: Sequence[Answer], media: _Media) -> list[Sheet]:
    read = [answer for answer in answers if answer.suggestions]
    chosen = [read[place] for place in np.linspace(0, len(read) - 1, min(QUERIES, len(read))).round().astype(int)]
    found = [suggestion for answer in chosen for suggestion in answer.suggestions[:SUGGESTIONS]]
    pictures = _pictures(media, [s.uri for s in found], [s.time_s for s in found])
    rows = {sample: row for row, sample in enumerate(findings.samples.ids.tolist())}
    sheets = []
    for answer in chosen:
        shown = tuple(
            _clip(
                findings,
                rows[suggestion.sample_id],
                media,
                picture=pictures[suggestion.uri, suggestion.time_s],
                note=f"{suggestion.time_s:.1f} s, distance {suggestion.distance:.2f}",
            )
            for suggestion in answer.suggestions[:SUGGESTIONS]
        )
        path = Path(answer.query)
        sheets.append(Sheet(f"{path.parent.name}/{path.name}", "held-out picture", shown, clips.still(path)))
    return sheets


def _clip(findings: Findings, row: int, media: _Media, *, picture: str | None, note: str) -> Card:
    """The sample of a row, its sound put into the page once however often it is shown."""
    samples, truth = findings.samples, findings.truth
    uri, key = str(samples.uris[row]), f"s{samples.ids[row]}"
    if key not in media.sounds:
        sound = clips.sound(media.sources, uri, float(samples.times_s[row]))
        if sound is not None:
            media.sounds[key] = sound
    labelled = truth is not None and bool(truth.labelled[row])
    return Card(
        title=video_name(uri),
        note=note,
        picture=picture,
        sound=key if key in media.sounds else None,
        clean=bool(truth.clean[row]) if truth is not None and labelled else None,
        label=_label(truth, row) if truth is not None and labelled else "",
    )


def _label(truth: Truth, row: int) -> str:
    """What is seen and heard, in few words."""
    seen, heard = truth.picture[row], truth.sound[row]
    return str(seen) if seen == heard else f"{seen} seen, {heard} heard"


def _pictures(media: _Media, uris: Sequence[str], times_s: Sequence[float]) -> dict[tuple[str, float], str | None]:
    """Thumbnails by video and time; every video is opened once."""
    wanted: dict[str, set[float]] = {}
    for uri, time_s in zip(uris, times_s, strict=True):
        wanted.setdefault(uri, set()).add(time_s)
    return {
        (uri, time_s): picture
        for uri, times in wanted.items()
        for time_s, picture in zip(
            sorted(times), clips.thumbnails(media.sources, uri, np.array(sorted(times))), strict=True
        )
    }


def _share(value: float) -> str:
    """A share for a reader; a dash where there is none."""
    return "–" if np.isnan(value) else f"{value:.0%}"
