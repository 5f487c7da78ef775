"""Settings: layers, and an error that names file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from avlib.config import CONF_FOLDER, load_settings
from avlib.errors import ConfigError


def test_defaults_are_the_papers() -> None:
    settings = load_settings()
    assert settings.describe.frame_rate_hz == 25
    assert settings.describe.audio.window_frames == (1, 3, 5, 7, 9)
    weights = {
        name: [(step.w_V, step.w_A, step.k) for step in strategy.steps]
        for name, strategy in settings.filter.strategies.items()
        if not strategy.scored
    }
    assert weights == {
        "joint": [(0.5, 0.5, 20)],
        "V+A": [(1, 0, 20), (0, 1, 20)],
        "A+V": [(0, 1, 20), (1, 0, 20)],
    }
    assert settings.filter.strategy == "agreement"  # beyond the paper
    assert settings.knn.exclude == "none"


def test_overlays_and_assignments_in_order(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.toml"
    overlay.write_text('[knn]\nk = 30\nexclude = "window"\n[filter.strategies]\nmine = [{w_V = 1.0, w_A = 2.0, k = 3}]')
    settings = load_settings([overlay], ["knn.k=40", "filter.strategy=mine", "components.min_size=7"])
    assert (settings.knn.k, settings.knn.exclude) == (40, "window")
    (step,) = settings.filter.steps
    assert (step.w_V, step.w_A, step.k, step.min_size) == (1, 2, 3, 7)
    assert "V+A" in settings.filter.strategies


def test_every_file_in_conf_loads() -> None:
    overlays = sorted(CONF_FOLDER.glob("*.toml"))
    assert overlays
    for overlay in overlays:
        load_settings([overlay])


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("knn.kk=3", "--set knn.kk=3: knn.kk: no such key"),
        ("nosuch.key=3", "nosuch: no such key"),
        ("knn.k=0", "knn.k: input should be greater than or equal to 1, not 0"),
        ("knn.k=many", "knn.k: input should be a valid integer"),
        ("knn.exclude=all", "knn.exclude"),
        ("k=3", "write section.key=value"),
        ("knn.k", "write section.key=value"),
        ("filter.strategy=Z", "strategy 'Z' is none of 'joint', 'V+A', 'A+V'"),
        ("filter.strategies.joint=[]", "joint.steps"),
        ("filter.strategies.x=[{w_V = 0, w_A = 0}]", "both 0"),
        ("filter.strategies.x=[{w_V = 1}]", "w_A"),
        ('agreement.audio=["audio_context", "audio_context"]', "names a descriptor twice"),
        ("describe.audio.fmax=9000", "at most at sr / 2 = 8000 Hz"),
        ("describe.frame_stride=0", "frame_stride"),
    ],
)
def test_what_is_wrong_is_named(assignment: str, said: str) -> None:
    choose_joint = ["filter.strategy=joint"] if "joint=[]" in assignment else []
    with pytest.raises(ConfigError) as error:
        load_settings(assignments=[assignment, *choose_joint])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_files_are_named(tmp_path: Path) -> None:
    for nowhere in (tmp_path / "nowhere.toml", tmp_path / "demo.toml"):  # only a bare name is looked up in conf
        with pytest.raises(ConfigError, match="no such settings file"):
            load_settings([nowhere])
    broken = tmp_path / "broken.toml"
    broken.write_text("[knn\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: not valid TOML"):
        load_settings([broken])
    unknown = tmp_path / "unknown.toml"
    unknown.write_text("[knn]\nneighbours = 3\n")
    with pytest.raises(ConfigError, match=r"unknown\.toml: knn\.neighbours: no such key"):
        load_settings([unknown])


def test_the_fingerprint_tells_settings_apart() -> None:
    same = load_settings().describe.fingerprint()
    assert load_settings(assignments=["describe.frame_stride=1"]).describe.fingerprint() == same
    assert load_settings(assignments=["describe.audio.n_mels=41"]).describe.fingerprint() != same
