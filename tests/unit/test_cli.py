"""What the command line says when something is not right: one line, exit code 2, no stack trace."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from avlib.cli import app, main


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    printed = capsys.readouterr().err.strip()
    assert "Traceback" not in printed
    return printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["filter", "-w", "W", "--set", "knn.kk=3"], "avlib: --set knn.kk=3: knn.kk: no such key"),
        (["filter", "-w", "W", "--set", "knn.k=0"], "knn.k: input should be greater than or equal to 1"),
        (["filter", "-w", "W", "--strategy", "Z"], "none of 'joint', 'V+A', 'A+V'"),
        (["filter", "-w", "W", "--config", "nowhere.toml"], "no such settings file"),
        (["forget", "-w", "W"], "forget: name videos, or --missing"),
        (["status", "-w", "nowhere"], "no table videos: run `avlib ingest"),
        (["failures", "-w", "nowhere"], "no table videos: run `avlib ingest"),
        (["suggest", "picture.png", "-w", "nowhere"], "no table collection: run `avlib filter"),
        (["suggest", "picture.png", "-w", "nowhere", "--name", "../up"], "--name = '../up'"),
        (
            ["suggest", "picture.png", "-w", "nowhere", "--name", "typo"],
            "of a filter run named typo: run `avlib filter",
        ),
        (["suggest", "picture.png", "-w", "nowhere", "--name", "typo"], "nowhere --name typo` first"),
        (
            ["suggest", "picture.png", "-w", "W", "--top", "5000"],
            "--top 5000: suggest.top: input should be less",
        ),
        (["suggest", "picture.png", "-w", "W", "--duration", "nan"], "--duration = 'nan': expected seconds"),
        (["suggest", "picture.png", "-w", "W", "--duration", "601"], "--duration 601.0: suggest.duration_s: input"),
    ],
)
def test_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(arguments, capsys)
    assert expected in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("command", ["pipeline", "describe"])
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("describe.visual_weights=nowhere.pth", "describe.visual_weights = nowhere.pth: there is no such file"),
        ("describe.visual_model=resnet1", "describe.visual_model = resnet1 is unknown"),
    ],
)
def test_missing_weights_are_told_before_spark_starts(
    command: str, setting: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("avlib.spark.session.get_session", lambda _: pytest.fail("Spark was started"))
    (tmp_path / "a.mp4").write_bytes(b"")
    inputs = [str(tmp_path)] if command == "pipeline" else []
    assert expected in said([command, *inputs, "-w", str(tmp_path / "W"), "--set", setting], capsys)
    assert not (tmp_path / "W").exists()


def test_debug_shows_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    from avlib.errors import ConfigError

    with pytest.raises(ConfigError):
        main(["filter", "-w", "W", "--set", "knn.kk=3", "--debug"])


def test_a_missing_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from avlib.errors import ConfigError
    from avlib.spark.session import require_java

    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"JAVA_HOME is .*, which has no bin/java; install Java 17"):
        require_java()
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(ConfigError, match="is version 11"):
        require_java()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="no java on the PATH"):
        require_java()


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


EXAMPLES = dict(commands(typer.main.get_group(app)))


@pytest.mark.parametrize("path", EXAMPLES, ids=" ".join)
def test_every_command_has_an_example_that_it_takes(path: tuple[str, ...]) -> None:
    command = EXAMPLES[path]
    assert command.help and command.epilog
    example = shlex.split(command.epilog.removeprefix("Example: "))
    assert example[: len(path) + 1] == ["avlib", *path]
    command.make_context(path[-1], example[len(path) + 1 :])  # raises where an option or a value is none of its own
