"""README and docs/ hold: commands exist and take these options, settings exist, links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer
from readme import BLOCKS, PAGES, ROOT, Block

from avlib.cli import app
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
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {one for one in arguments if "=" not in one} <= set(targets), block
    elif program == "spark-submit":
        (job,) = [one for one in arguments if one.startswith("jobs/")]
        assert (ROOT / job).is_file(), block
    elif program == "avlib":
        command = typer.main.get_group(app)
        arguments = ["no-labels" if one == "--no-labels" else one for one in arguments if one != "…"]
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        required = ["W"] if command.name == "pipeline" and "…" in words else []
        if required and "--warehouse" not in arguments:
            required += ["--warehouse", "W"]
        command.make_context(words[1], [*required, *arguments])


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
