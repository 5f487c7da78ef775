"""What README and docs/ tell their readers to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.  language: "" where none is named.  line: of its first."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """Its commands as words, without comments; empty where it shows something else."""
        joined = self.text.replace("\\\n", " ")
        for line in joined.splitlines():
            if re.match(r"(avlib|make|spark-submit|python) ", line):
                yield shlex.split(line, comments=True)


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, those inside lists too."""
    fence, begun, lines = None, 0, []  # type: tuple[str, str] | None, int, list[str]
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        found = re.match(r"( *)```(\w*)$", line)
        if fence is None and found:
            fence, begun, lines = (found[1], found[2]), number + 1, []
        elif fence is not None and found:
            yield Block(page, begun, fence[1], "\n".join(lines))
            fence = None
        else:
            lines.append(line.removeprefix(fence[0]) if fence else line)


BLOCKS = tuple(block for page in PAGES for block in blocks(page))
