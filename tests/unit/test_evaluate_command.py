"""avlib evaluate, before Spark starts: how lists are read, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from avlib.cli import main
from avlib.commands.evaluate import _numbers
from avlib.config import load_settings
from avlib.errors import InputError


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ("0:0.9:0.1", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ("0.1:0.5:0.25", [0.1, 0.35]),
        ("0.5:0.5:0.1", [0.5]),
        ("0, 0.3,1", [0.0, 0.3, 1.0]),
        ("0.7", [0.7]),
    ],
)
def test_lists_of_numbers(said: str, numbers: list[float]) -> None:
    assert _numbers("--ratios", said) == numbers


@pytest.mark.parametrize("said", ["0:1", "0:1:0", "a:b:c", "half", "", "1:2:3:4"])
def test_other_lists_are_refused(said: str) -> None:
    with pytest.raises(InputError, match=r"--ratios .*: write FIRST:LAST:STEP"):
        _numbers("--ratios", said)


def refusal(
    arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What `avlib evaluate` says, in one line."""
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", *arguments])
    assert exit_.value.code == 2
    printed = capsys.readouterr().err.strip()
    assert len(printed.splitlines()) == 1
    return printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--labels", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--labels", "overlapping.csv"], "rows 1 and 2 of a.mp4 overlap"),
        (["--labels", "nowhere.csv", "--ratios", "0:1"], "--ratios 0:1: write FIRST:LAST:STEP"),
        (
            ["--labels", "nowhere.csv", "--ratios", "0.5,1.5"],
            "--ratios [0.5, 1.5]: evaluate.ratios.1: input",
        ),
        (["--labels", "nowhere.csv", "--ratios", "0.9:0:0.1"], "--ratios 0.9:0:0.1: write FIRST:LAST:STEP"),
        (
            ["--labels", "nowhere.csv", "--unit", "word"],
            "--unit word: evaluate.unit: input should",
        ),
        (["--labels", "nowhere.csv", "--set", "evaluate.k=[1,2,3,4]"], "k and min_size make 8 pairs; at most 6"),
    ],
)
def test_one_line(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    header = "video,start_s,end_s,picture_category,sound_category,is_clean\n"
    (tmp_path / "overlapping.csv").write_text(header + "a.mp4,0,2,dog,dog,1\na.mp4,1,3,dog,dog,1\n", encoding="utf-8")
    assert expected in refusal(["corruption", "-w", "W", *arguments], tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--arms", "truth,V+A"], "--arms and --labels go together"),
        (["--labels", "nowhere.csv"], "--arms and --labels go together"),
        (["--labels", "nowhere.csv", "--arms", "truth,V+A"], "nowhere.csv: cannot be read"),
        (["--labels", "nowhere.csv", "--arms", "truth"], "evaluate.strategies: "),
        (["--labels", "nowhere.csv", "--arms", "V+A", "--ratio", "2"], "evaluate.ratios.0: input should be less than"),
        ([], "W has no table collection: run `avlib filter"),
    ],
)
def test_one_line_of_a_sheet(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert expected in refusal(["listening-sheet", "-w", "W", *arguments], tmp_path, monkeypatch, capsys)


def test_the_paper_s_ratios_are_the_default() -> None:
    assert load_settings().evaluate.ratios == tuple(_numbers("--ratios", "0:0.9:0.1") or ())
