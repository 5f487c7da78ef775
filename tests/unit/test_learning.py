"""The learned sound descriptor: pairs, changes, loss, training, and what is described with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from listening_sockets import children, is_loopback, listening
from safetensors.torch import load_file

from avlib.config import LearnSettings, load_settings
from avlib.errors import InputError, WarehouseError
from avlib.learning import (
    LearningJob,
    LearningReport,
    SoundDescriptor,
    deal,
    load_sound_descriptor,
    sound_around,
    training,
)
from avlib.learning.augment import augment
from avlib.learning.job import report_place, weights_place
from avlib.learning.loss import candidates, pair_loss
from avlib.learning.network import SoundNet
from avlib.learning.sounds import Sounds
from avlib.learning.tracks import loud_track_frames, read_track, track_place, write_track
from avlib.learning.training import Trainer
from avlib.learning.training_here import train_here
from avlib.learning.weights import hash_network
from avlib.media import SoundPiece

SMALL = ["steps=6", "pairs=8", "checkpoint_steps=2", "channels=[4, 6, 8]", "projection=8", "track.n_mels=12"]
EASY = ["held_out=0.4", "learning_rate=0.01", "gain_db=3", "equaliser_db=1", "masks=0"]
RATE_HZ = 16_000


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def settings(*more: str) -> LearnSettings:
    return load_settings(assignments=[f"learn.{word}" for word in [*SMALL, *more]]).learn


def track(video: int, frames: int = 300, bands: int = 12) -> np.ndarray:
    """Half of it loud; a spectrum of its own, and in its first column where it is and whose."""
    rng = np.random.default_rng(video)
    found = -40 + 6 * rng.normal(size=(1, bands)) + rng.normal(size=(frames, bands))
    found[frames // 2 :] += 20
    return found.astype(np.float32)


def job(folder: Path, *more: str, videos: int = 8) -> LearningJob:
    for video in range(videos):
        write_track(str(folder), video, track(video))
    chosen = settings(*more)
    return LearningJob(str(folder), *deal(range(videos), chosen), chosen, threads=1, cuda=False)


def trained(one: LearningJob) -> bytes:
    Trainer(one, rank=0, world=1, device="cpu").run(lambda line: None)
    return Path(weights_place(one.folder)).read_bytes()


def test_videos_are_dealt_by_the_seed() -> None:
    train, held_out = deal([9, 3, 5, 1, 7], settings("held_out=0.4"))
    assert sorted([*train, *held_out]) == [1, 3, 5, 7, 9] and len(held_out) == 2
    assert deal([1, 3, 5, 7, 9], settings("held_out=0.4")) == (train, held_out)
    assert any(deal([1, 3, 5, 7, 9], settings("held_out=0.4", f"seed={n}"))[1] != held_out for n in range(1, 5))
    assert [len(part) for part in deal(range(4), settings("held_out=0.9"))] == [2, 2]
    with pytest.raises(InputError, match=r"at least 4 videos .* 3 were found"):
        deal(range(3), settings())


def test_tracks_come_back_in_half_precision(tmp_path: Path) -> None:
    write_track(str(tmp_path), 5, track(5))
    np.testing.assert_allclose(read_track(str(tmp_path), 5), track(5), rtol=5e-4)
    assert loud_track_frames(track(5)).tolist() == list(range(150, 300))


def test_pairs_are_loud_near_each_other_and_of_one_video() -> None:
    chosen = settings("apart_s=0.2", "window_s=0.2")
    tracks = {}
    for video in range(5):
        tracks[video] = track(video, frames=100 + 20 * video)
        tracks[video][:, 0] = np.arange(len(tracks[video])) / 8  # half precision holds these
        tracks[video][:, 1] = video
    pairs = Sounds(tracks, chosen).draw(500, torch.Generator().manual_seed(0))
    assert np.bincount(pairs.videos).tolist() == [100] * 5
    middle = chosen.window_frames // 2
    at = [windows[:, middle, 0].numpy() * 8 for windows in (pairs.first, pairs.second)]
    lengths = np.array([len(tracks[video]) for video in pairs.videos.tolist()])
    for windows in (pairs.first, pairs.second):
        np.testing.assert_array_equal(windows[:, middle, 1].numpy(), pairs.videos.numpy())
        inside = windows[:, :, 0] > -50  # the rest is the silence around the track
        own = torch.where(inside, windows[:, :, 1], pairs.videos[:, None].float())
        assert (own == pairs.videos[:, None]).all()
    assert (at[0] >= lengths // 2).all() and (at[1] < lengths).all()
    away = np.abs(at[0] - at[1])
    assert away.max() <= 10 and len(np.unique(away)) > 5


def test_changed_windows_keep_their_shape() -> None:
    windows = torch.randn(16, 40, 12, generator=torch.Generator().manual_seed(0)) - 30
    level = torch.full((12,), 7.0)

    def changed(*more: str, seed: int = 1) -> torch.Tensor:
        return augment(windows, level, torch.Generator().manual_seed(seed), settings(*more))

    nothing = ["gain_db=0", "equaliser_db=0", "masks=0"]
    torch.testing.assert_close(changed(*nothing), windows)
    everything = changed()
    assert everything.shape == windows.shape and torch.isfinite(everything).all()
    torch.testing.assert_close(changed(), everything)
    assert not torch.equal(changed(seed=2), everything)
    off = changed(*nothing[1:], "gain_db=10") - windows
    assert (off.amax((1, 2)) - off.amin((1, 2))).max() < 1e-4 and 5 < off.abs().max() <= 10
    off = changed(nothing[0], nothing[2], "equaliser_db=6") - windows
    assert off.std(dim=1).max() < 1e-4 and off.std(dim=2).min() > 0.5  # the same at all times, unlike in the bands
    masked = changed(*nothing[:2], "masks=1")
    blank = masked == 7.0
    assert torch.equal(masked[~blank], windows[~blank]) and 0.05 < blank.float().mean() < 0.35


def test_the_loss_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    videos = torch.tensor([0, 1, 1, 2, 0, 1, 1, 2])
    unit = rng.normal(size=(8, 5))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    own = (torch.arange(8) + 4) % 8
    projected = torch.from_numpy(unit)
    allowed = candidates(own, videos, first=0, all_videos=videos)
    loss, accuracy = pair_loss(projected, projected, own, allowed, temperature=0.2)
    losses, right = [], []
    for i in range(8):
        others = [j for j in range(8) if videos[j] != videos[i] or j == own[i]]
        assert i not in others and (int(own[i]) in others) and allowed[i].nonzero().flatten().tolist() == others
        powers = {j: np.exp(unit[i] @ unit[j] / 0.2) for j in others}
        losses.append(-np.log(powers[int(own[i])] / sum(powers.values())))
        right.append(max(powers, key=lambda j: powers[j]) == int(own[i]))
    assert float(loss) == pytest.approx(np.mean(losses)) and float(accuracy) == pytest.approx(np.mean(right))
    # The second process of two sees its own four windows among all eight.
    part = candidates(torch.tensor([6, 7, 4, 5]), videos[4:], first=4, all_videos=videos)
    assert part.shape == (4, 8) and not part[torch.arange(4), 4 + torch.arange(4)].any() and part[0, 6]


def test_the_same_seed_gives_the_same_network(tmp_path: Path) -> None:
    first, again, other = (
        trained(job(tmp_path / name, *more)) for name, more in (("a", []), ("b", []), ("c", ["seed=1"]))
    )
    assert first == again != other


def test_a_killed_training_ends_where_an_undisturbed_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = trained(job(tmp_path / "undisturbed"))
    killed = job(tmp_path / "killed")
    write, written = training.write_whole, []

    def write_twice(place: str, content: bytes) -> None:
        write(place, content)
        written.append(place)
        if len(written) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "write_whole", write_twice)
        trained(killed)
    assert not Path(weights_place(killed.folder)).exists()
    said: list[str] = []
    Trainer(killed, rank=0, world=1, device="cpu").run(said.append)
    assert said[0] == "going on after step 4" and len(said) == 2
    assert Path(weights_place(killed.folder)).read_bytes() == undisturbed
    reports = [
        LearningReport.from_json(Path(report_place(str(tmp_path / name))).read_text())
        for name in ("undisturbed", "killed")
    ]
    assert reports[0] == reports[1] and len(reports[0].losses) == 6
    assert [done for done, _ in reports[0].held_out] == [2, 4, 6]


def test_what_is_learned_holds_for_videos_held_out(tmp_path: Path) -> None:
    one = job(tmp_path, "steps=40", "checkpoint_steps=40", "pairs=16", *EASY, videos=20)
    trained(one)
    report = LearningReport.from_json(Path(report_place(one.folder)).read_text())
    assert (report.train, report.held_out_videos) == (12, 8)
    assert report.losses[-1] < 0.5 * report.losses[0]
    assert report.chance < 0.02 and report.held_out[-1][1] > 10 * report.chance
    assert "40 steps on 12 videos" in report.summary()


def test_the_file_of_another_network_is_refused(tmp_path: Path) -> None:
    one = job(tmp_path)
    trained(one)
    weights, chosen = Path(weights_place(one.folder)), one.settings
    digest = hash_network(load_file(weights), chosen)
    assert load_sound_descriptor(weights, chosen, model_hash=digest).dimension == 16
    with pytest.raises(WarehouseError, match="not the network that audio_learned was made with"):
        load_sound_descriptor(weights, settings("window_s=1.0"), model_hash=digest)
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(WarehouseError, match=r"cannot be read .*avlib learn"):
        load_sound_descriptor(weights, chosen, model_hash=digest)


def test_a_descriptor_does_not_hang_on_what_else_is_described() -> None:
    rng = np.random.default_rng(0)
    waveform = (0.1 * rng.normal(size=75 * RATE_HZ)).astype(np.float32)
    times_s = np.sort(rng.uniform(0, 75, 150))
    torch.manual_seed(0)
    descriptor = SoundDescriptor(SoundNet(settings()), settings())
    whole = descriptor.describe(waveform, times_s=times_s)
    assert whole.shape == (150, 16) and np.median(whole.std(axis=0)) > 0.01
    cuts = np.sort(rng.integers(1, len(waveform), 40))
    pieces = [
        SoundPiece(int(first), waveform[None, first:end])
        for first, end in zip([0, *cuts], [*cuts, len(waveform)], strict=True)
        if first < end
    ]
    stretches = list(
        sound_around(pieces, times_s=times_s, margin_s=descriptor.margin_s, sample_rate_hz=RATE_HZ, length_s=20)
    )
    assert len(stretches) == 4 and max(len(one.waveform) for one in stretches) <= 24 * RATE_HZ
    parts = [descriptor.describe(one.waveform, times_s=times_s[one.rows] - one.from_s) for one in stretches]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)
    for row in (0, 77, 149):
        alone = descriptor.describe(waveform, times_s=times_s[row : row + 1])
        np.testing.assert_array_equal(alone[0], whole[row])
    assert descriptor.describe(waveform, times_s=times_s[:0]).shape == (0, 16)


def test_stretches_hold_the_sound_where_it_is() -> None:
    """Late, with a gap, and ending before the last time."""
    sound = np.arange(1, 50_001, dtype=np.float32)
    pieces = [SoundPiece(5_000, sound[None, :20_000]), SoundPiece(40_000, sound[None, 20_000:])]
    full = np.zeros(200_000, np.float32)
    full[5_000:25_000], full[40_000:70_000] = sound[:20_000], sound[20_000:]
    times_s = np.array([0.1, 1.0, 12.5, 37.0, 61.0, 90.0])  # at 1,000 Hz
    found = list(sound_around(pieces, times_s=times_s, margin_s=1.5, sample_rate_hz=1000, length_s=10))
    assert [one.rows for one in found] == [slice(0, 2), slice(2, 3), slice(3, 4), slice(4, 5), slice(5, 6)]
    for one in found:
        assert one.from_s <= times_s[one.rows][0] - 1.5 and one.from_s == np.floor(one.from_s)
        first, before = round(one.from_s * 1000), max(0, -round(one.from_s * 1000))
        assert not one.waveform[:before].any()
        np.testing.assert_array_equal(one.waveform[before:], full[first + before : first + len(one.waveform)])
    assert not list(sound_around(pieces, times_s=times_s[:0], margin_s=1.0, sample_rate_hz=1000))


@pytest.fixture
def started() -> Callable[[], set[int]]:
    """What gives the processes that this one has started since the test began: others' tests leave it a JVM."""
    before = set(children(os.getpid()))
    return lambda: set(children(os.getpid())) - before


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_two_processes_train_together_on_loopback_alone(tmp_path: Path, started: Callable[[], set[int]]) -> None:
    one = job(tmp_path, "steps=4", "processes=2", "checkpoint_steps=1")
    one.write()
    listened = []

    def look(line: str) -> None:
        for child in started():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                listened.extend(listening(child))

    train_here(one, gpus=[], say=look)
    assert listened and all(map(is_loopback, listened))
    report = LearningReport.from_json(Path(report_place(one.folder)).read_text())
    assert len(report.losses) == 4 and np.isfinite(report.losses).all()
    state = load_file(weights_place(one.folder))
    assert state.keys() == SoundNet(one.settings).state_dict().keys()
    assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_one_process_listens_nowhere(tmp_path: Path, started: Callable[[], set[int]]) -> None:
    one = job(tmp_path, "steps=2", "checkpoint_steps=1")
    one.write()
    said, listened = [], []

    def look(line: str) -> None:
        said.append(line)
        for child in started():
            with suppress(FileNotFoundError, ProcessLookupError):
                listened.extend(listening(child))

    train_here(one, gpus=[], say=look)
    assert listened == [] and any("step 2 of 2" in line for line in said)
    assert Path(weights_place(one.folder)).read_bytes() == trained(
        job(tmp_path / "alone", "steps=2", "checkpoint_steps=1")
    )


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_process_that_fails_is_told_and_ends_the_others(tmp_path: Path, started: Callable[[], set[int]]) -> None:
    one = job(tmp_path, "steps=4", "processes=2")
    one.write()
    Path(track_place(str(tmp_path), one.train[0])).write_bytes(b"no track")
    with pytest.raises(RuntimeError, match="Error"):
        train_here(one, gpus=[], say=lambda line: None)
    assert started() == set()


@pytest.mark.long  # starts torch
def test_processes_end_with_who_started_them(tmp_path: Path) -> None:
    one = job(tmp_path, "steps=100000", "checkpoint_steps=1")
    one.write()
    program = (
        "import sys; from avlib.learning import LearningJob; from avlib.learning.training_here import train_here\n"
    )
    program += "train_here(LearningJob.read(sys.argv[1]), gpus=[], say=lambda line: print(line, flush=True))"
    starter = subprocess.Popen([sys.executable, "-c", program, one.place], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None and "step" in starter.stdout.readline()
    (training,) = children(starter.pid)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    deadline = time.monotonic() + 20
    while Path("/proc", str(training)).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path("/proc", str(training)).exists()
