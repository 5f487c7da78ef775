"""Answers to many query pictures. One that is no picture costs its own answer only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avlib.errors import InputError
from avlib.retrieval.suggest import Suggester, Suggestion, cut_wav
from avlib.sources import Sources


@dataclass(frozen=True)
class Answer:
    """What a query picture got.  error: one line, where it could not be read."""

    query: str
    suggestions: tuple[Suggestion, ...] = ()
    error: str | None = None

    def as_json(self) -> dict[str, object]:
        """query, suggestions (rank, uri, time_s, distance, duration_s, file), and error or unavailable where needed."""
        answer: dict[str, object] = {"query": self.query, "suggestions": [_plain(one) for one in self.suggestions]}
        return answer | ({"error": self.error} if self.error else {})


def _plain(suggestion: Suggestion) -> dict[str, object]:
    names = ("rank", "uri", "time_s", "distance", "duration_s", "file")
    values: dict[str, object] = {name: getattr(suggestion, name) for name in names}
    return values | ({"unavailable": suggestion.unavailable} if suggestion.unavailable else {})


def answer_all(
    suggester: Suggester, pictures: Sequence[Path], *, sources: Sources, duration_s: float, out: Path
) -> list[Answer]:
    """Suggest for every picture and cut the sounds into `out`, as QUERY-RANK.wav, both counted from 1."""
    out.mkdir(parents=True, exist_ok=True)
    answers = []
    for number, picture in enumerate(pictures, start=1):
        try:
            found = suggester.suggest(picture)
        except InputError as error:
            answers.append(Answer(str(picture), error=str(error)))
            continue
        cut = (
            cut_wav(sources, suggestion, duration_s=duration_s, to=out / f"{number:03}-{suggestion.rank:02}.wav")
            for suggestion in found
        )
        answers.append(Answer(str(picture), tuple(cut)))
    return answers


def as_text(answers: Sequence[Answer]) -> str:
    """The answers for a reader."""
    lines = []
    for answer in answers:
        lines.append(answer.error or answer.query)
        for suggestion in answer.suggestions:
            sound = suggestion.file or f"no sound: {suggestion.unavailable}"
            place = f"{suggestion.uri} at {suggestion.time_s:.2f} s"
            lines.append(f"  {suggestion.rank}. {place}, distance {suggestion.distance:.3f} → {sound}")
    return "\n".join(lines)


def as_json(answers: Sequence[Answer]) -> str:
    """The answers as a JSON list, one object per query."""
    return json.dumps([answer.as_json() for answer in answers], indent=1, ensure_ascii=False)
