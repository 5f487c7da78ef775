"""What README and docs/ tell their readers to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_SENTENCE = "sentence"
_IN_A_SENTENCE = re.compile(r"(\.venv/bin/)?((make|python|pip|cat) |avlib .* -)")  # `avlib plan` only names a command


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, or code in a sentence.

    language: "" where none is named: then each line is a command.  line: of its first.
    """

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """Its commands as words, without comments and the environment's folder before the program."""
        if self.language == "" or (self.language == _SENTENCE and _IN_A_SENTENCE.match(self.text)):
            lines = [re.sub(r"(^|\s)#.*", "", line) for line in self.text.replace("\\\n", " ").splitlines()]
            for line in filter(None, lines):
                yield shlex.split(line.removeprefix(".venv/bin/"))


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, those inside lists too, and the code in its sentences; in order."""
    fence, begun, lines = None, 0, []  # type: tuple[str, str] | None, int, list[str]
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        found = re.match(r"( *)```(\w*)$", line)
        if fence is None and found:
            fence, begun, lines = (found[1], found[2]), number + 1, []
        elif fence is not None and found:
            yield Block(page, begun, fence[1], "\n".join(lines))
            fence = None
        elif fence is not None:
            lines.append(line.removeprefix(fence[0]))
        else:
            yield from (Block(page, number, _SENTENCE, code) for code in re.findall("`([^`]+)`", line))


BLOCKS = tuple(block for page in PAGES for block in blocks(page))


def whole(words: list[str], *, inputs: str, warehouse: str) -> list[str]:
    """An avlib command with what … stands for and a sentence leaves out."""
    found = [inputs if word == "…" else word for word in words if word != "…" or words[1] == "pipeline"]
    if words[1] not in ("plan", "evaluate") and not {"-w", "--warehouse"} & set(words):
        found += ["--warehouse", warehouse]
    return found
