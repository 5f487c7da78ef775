"""README and docs/ hold: commands exist and take these options, settings exist, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
from readme import BLOCKS, PAGES, ROOT, Block, whole

from avlib.cli import WRITTEN_OUT, app
from avlib.config import load_settings

COMMANDS = [(block, words) for block in BLOCKS for words in block.commands()]
SETTINGS = {
    f"{section}.{key}"
    for section, values in tomllib.loads((ROOT / "conf" / "default.toml").read_text()).items()
    for key in values
}
SECTIONS = {name.partition(".")[0] for name in SETTINGS}


def heading_anchors(page: Path) -> set[str]:
    """As code-hosting pages make them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("block", "words"), COMMANDS, ids=[" ".join(words)[:60] for _, words in COMMANDS])
def test_commands_are_taken(block: Block, words: list[str]) -> None:
    program, *arguments = words
    match program:
        case "avlib":
            command = typer.main.get_group(app)
            arguments = [WRITTEN_OUT.get(one, one) for one in whole(words, inputs="videos", warehouse="W")[1:]]
            while hasattr(command, "commands"):
                command = command.commands[arguments.pop(0)]
            command.make_context(words[1], arguments)
        case "make":
            subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=True, capture_output=True)
        case _:
            here = [one.removeprefix("local:///opt/avlib/") for one in arguments]  # there it lies in the image
            named = [one for one in here if re.match(r"(jobs|conf|notebooks)/", one)]
            assert named and [one for one in named if not (ROOT / one).is_file()] == [], block


def test_settings_are_there() -> None:
    """Whatever is written `section.key` of a section that there is."""
    for page in PAGES:
        for named in re.findall(r"`(?:--set )?'?([a-z]+\.[a-z_A-Z]+)", page.read_text()):
            if named.partition(".")[0] in SECTIONS - {"spark"}:  # that is Spark's own, too
                assert named in SETTINGS, f"{page.name}: {named}"


def test_settings_of_commands_are_taken() -> None:
    for _, words in COMMANDS:
        load_settings(assignments=[words[at + 1] for at, word in enumerate(words) if word == "--set"])


def test_settings_files_are_taken(tmp_path: Path) -> None:
    shown = [block for block in BLOCKS if block.language == "toml"]
    assert shown
    for block in shown:
        (tmp_path / "mine.toml").write_text(block.text)
        load_settings([tmp_path / "mine.toml"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in heading_anchors(linked), f"{page.name}: {target}"
