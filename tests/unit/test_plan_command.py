"""avlib plan on the command line: what it counts, what it refuses, and rates measured and kept."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import said

from avlib.cli import main
from avlib.config import load_settings
from avlib.planning import Calibration
from avlib.planning.calibrate import Sizes, calibrate_apart
from avlib.planning.rates import default_place, read_rates

SMALL = Sizes(queries=64, samples=1024, dims=8, clip_s=1.0, pictures=2, edges=1000, file_bytes=10_000, rounds=1)
CLASSICAL = ["--set", "describe.visual_model=hog_color"]  # needs no torch
PLAN = ["plan", "--videos", "100", "--mean-seconds", "60", *CLASSICAL]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def planned(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--json"])
    assert exit_.value.code == 0
    values: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return values


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["plan"], "name inputs or a manifest, or give --videos and --mean-seconds"),
        (["plan", "--videos", "10"], "--mean-seconds is missing"),
        (["plan", "--videos", "0", "--mean-seconds", "60"], "--videos = 0: expected 1 or more"),
        (["plan", "--videos", "-3", "--mean-seconds", "60"], "--videos = -3"),
        (["plan", "--videos", "3", "--mean-seconds", "0"], "--mean-seconds = 0.0"),
        (["plan", "--videos", "3", "--mean-seconds", "nan"], "--mean-seconds = nan"),
        (["plan", "films.csv", "--videos", "3", "--mean-seconds", "60"], "--videos 3: leave it out, or the inputs"),
        (["plan", "nowhere", "--mean-seconds", "60"], "nowhere: no such file or folder"),
        ([*PLAN, "--machines", "0"], "--machines = 0"),
        ([*PLAN, "--cores", "-1"], "--cores = -1"),
        ([*PLAN, "--memory-gb", "0"], "--memory-gb = 0.0"),
        ([*PLAN, "--gpus", "-1"], "--gpus = -1"),
        ([*PLAN, "--kept-share", "1.5"], "--kept-share = 1.5"),
        ([*PLAN, "--largest-share", "0"], "--largest-share = 0.0"),
        ([*PLAN, "--rates", "nowhere.json"], "--rates nowhere.json: cannot be read (No such file"),
        ([*PLAN, "--set", "knn.k=75000"], "knn.k = 75000: expected k below the number of samples, 75000"),
        ([*PLAN, "--set", "describe.visual_model=mobilnet"], "describe.visual_model = mobilnet is unknown"),
    ],
)
def test_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(arguments, capsys)
    assert expected in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [("no JSON", "Invalid JSON"), ("{}", "rates: Field required"), ('{"rates": {"folds_per_s": 0}}', "greater than 0")],
)
def test_rates_that_are_none(content: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rates.json"
    file.write_text(content)
    printed = said([*PLAN, "--rates", str(file)], capsys)
    assert printed.startswith(f"avlib: --rates {file}: ")
    assert expected in printed or "Field required" in printed
    assert len(printed.splitlines()) == 1


def manifest(path: Path, rows: list[dict[str, object]]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_a_manifest_is_counted_not_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [{"uri": f"https://example.org/{number % 7}.mp4"} for number in range(9)]
    file = manifest(tmp_path / "films.csv", rows)
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    found = planned(["plan", file, str(tmp_path / "clip.mp4"), "--mean-seconds", "30", *CLASSICAL], capsys)
    assert (found["collection"]["videos"], found["collection"]["mean_s"]) == (8, 30)


def test_a_manifest_may_say_how_long_its_videos_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [{"uri": f"{length}.mp4", "duration_s": length} for length in (10, 20, 60)]
    file = manifest(tmp_path / "films.csv", rows)
    assert planned(["plan", file, *CLASSICAL], capsys)["collection"]["mean_s"] == 30
    assert planned(["plan", file, "--mean-seconds", "5", *CLASSICAL], capsys)["collection"]["mean_s"] == 5
    missing = manifest(tmp_path / "more.csv", [*rows, {"uri": "x.mp4", "duration_s": ""}])
    assert "--mean-seconds is missing" in said(["plan", missing, *CLASSICAL], capsys)


def test_settings_decide(capsys: pytest.CaptureFixture[str]) -> None:
    found = planned([*PLAN, "--strategy", "joint", "--set", "describe.frame_stride=5"], capsys)
    assert found["collection"]["samples"] == 100 * 60 * 5 // 2
    assert [stage["step"] for stage in found["stages"] if stage["stage"] == "knn"] == [0]  # type: ignore[index]


def test_neither_spark_nor_torch_is_loaded() -> None:
    script = (
        "import sys\nfrom avlib.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'pyspark', 'py4j', 'torch'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, *PLAN], check=True, capture_output=True, env=dict(os.environ))


def test_choosing_a_method_loads_little() -> None:
    script = (
        "import sys, avlib.planning\n"
        "assert not {'pyspark', 'torch', 'numba', 'av', 'aiohttp'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Calibration, Path]:
    folder = tmp_path_factory.mktemp("rates")
    settings = load_settings(assignments=["describe.visual_model=hog_color"])
    return calibrate_apart(settings, folder=folder, sizes=SMALL), folder


def test_calibration_measures_and_leaves_nothing(measured: tuple[Calibration, Path]) -> None:
    known, folder = measured
    assert list(folder.iterdir()) == []
    assert all(value > 0 for value in known.rates.model_dump().values())
    assert known.rates.gemm_flops_per_s > 1e7
    assert 1e3 < known.rates.edges_per_s < 1e10
    assert 0.01 < known.describe.s_per_video_minute < 600
    assert known.describe.visual_model == "hog_color"
    assert known.machine and known.date and {"numpy", "blas"} <= set(known.versions)


def test_rates_are_kept_and_read(
    measured: tuple[Calibration, Path],
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from avlib.planning import calibrate

    monkeypatch.setattr(calibrate, "calibrate_apart", lambda *_, **__: measured[0])
    assert default_place() == cache / "avlib" / "rates.json"
    with pytest.raises(SystemExit) as exit_:
        main(["plan", "--calibrate", *CLASSICAL])
    assert exit_.value.code == 0
    printed = capsys.readouterr()
    assert "one core of" in printed.out and "hog_color" in printed.out
    assert f"rates written to {default_place()}" in printed.err
    assert read_rates(default_place()) == measured[0]
    found = planned(PLAN, capsys)
    assert found["rates"] == measured[0].model_dump()
    assert all(stage["seconds"] > 0 for stage in found["stages"])  # type: ignore[index]
    other = planned([*PLAN, "--set", "describe.frame_stride=5"], capsys)
    assert other["hours"] is None


def test_a_failed_calibration_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "no-folder"
    file.write_text("")
    printed = said(["plan", "--calibrate", *CLASSICAL, "--rates", str(file / "rates.json")], capsys)
    assert printed.splitlines()[-1].startswith("avlib: --calibrate: ")
