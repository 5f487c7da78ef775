"""The training itself: steps, checkpoints, the check on videos held out. Same seed, same machine: the same weights.

All that is random in a step follows from the seed, the step and the process, so a run that goes on from a checkpoint
ends where an undisturbed one does.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import safetensors.torch
import torch
from torch import distributed
from torch.distributed.nn.functional import all_gather
from torch.nn.parallel import DistributedDataParallel

from avlib.config import LearnSettings
from avlib.learning.augment import augment
from avlib.learning.job import LearningJob, report_place, weights_place
from avlib.learning.loss import candidates, pair_loss
from avlib.learning.network import SoundNet
from avlib.learning.report import LearningReport
from avlib.learning.sounds import Pairs, Sounds
from avlib.learning.weights import network_bytes
from avlib.storage import is_file, read_whole, write_whole

_WARM_UP = 50  # steps in which the learning rate rises
_CHECKED, _CHECKS = 64, 8  # pairs of videos held out that are looked at together; how many times


class Trainer:
    """One process of a training.  rank, world: which of how many. With world > 1 torch.distributed is ready for use."""

    def __init__(self, job: LearningJob, *, rank: int, world: int, device: str) -> None:
        settings = job.settings
        self._job, self._rank, self._world, self._device = job, rank, world, torch.device(device)
        self._sounds = Sounds(job.tracks(job.train), settings)
        self._check = Sounds(job.tracks(job.held_out), settings)
        torch.manual_seed(settings.seed)
        self._network = SoundNet(settings)
        self._network.level.copy_(torch.from_numpy(self._sounds.level))
        self._network.spread.fill_(self._sounds.spread)
        self._network.to(self._device)
        self._model = DistributedDataParallel(self._network) if world > 1 else self._network
        self._optimizer = torch.optim.AdamW(self._network.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
        self._curve: list[tuple[float, float]] = []
        self._held_out: list[tuple[int, float]] = []
        self._chance = 0.0

    def run(self, say: Callable[[str], None]) -> None:
        """Train to the end, from the newest checkpoint if there is one; the first process writes what comes of it."""
        settings = self._job.settings
        if is_file(self._checkpoint):
            self._restore()
            say(f"going on after step {len(self._curve)}")
        for step in range(len(self._curve), settings.steps):
            self._curve.append(self._step(step))
            done = step + 1
            if done % settings.checkpoint_steps == 0 or done == settings.steps:
                self._held_out.append((done, self._held_out_accuracy()))
                if self._rank == 0:
                    loss, accuracy = self._curve[-1]
                    say(
                        f"step {done} of {settings.steps}: loss {loss:.3f}, accuracy {accuracy:.2f}, "
                        f"held out {self._held_out[-1][1]:.3f}"
                    )
                    write_whole(self._checkpoint, self._state())
        if self._rank == 0:
            self._finish()

    def _step(self, step: int) -> tuple[float, float]:
        """Returns loss and accuracy of this process' windows."""
        settings = self._job.settings
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(step, settings.steps)
        generator = self._generator(step)
        pairs = self._sounds.draw(settings.pairs // self._world, generator)
        loss, accuracy = self._loss(pairs, generator, settings)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return float(loss.detach()), float(accuracy)

    def _loss(
        self, pairs: Pairs, generator: torch.Generator, settings: LearnSettings
    ) -> tuple[torch.Tensor, torch.Tensor]:
        both = torch.cat([pairs.first, pairs.second]).to(self._device)
        projected = self._model(augment(both, self._network.level, generator, settings))
        videos = pairs.videos.repeat(2).to(self._device)
        everyone, all_videos, first = projected, videos, 0
        if self._world > 1:
            everyone = torch.cat(list(all_gather(projected)))  # type: ignore[no-untyped-call]
            gathered = [torch.empty_like(videos) for _ in range(self._world)]
            distributed.all_gather(gathered, videos)
            all_videos, first = torch.cat(gathered), self._rank * len(projected)
        half = len(pairs.videos)
        own = first + (torch.arange(2 * half, device=self._device) + half) % (2 * half)
        allowed = candidates(own, videos, first=first, all_videos=all_videos)
        return pair_loss(projected, everyone, own, allowed, temperature=settings.temperature)

    @torch.no_grad()
    def _held_out_accuracy(self) -> float:
        """Share of windows of videos held out, levels and bands changed, whose partner is nearest; the same windows
        every time.
        """
        settings = self._job.settings.model_copy(update={"masks": 0})
        self._network.eval()
        found, allowed_counts = [], []
        for check in range(_CHECKS):
            generator = torch.Generator().manual_seed(check)
            pairs = self._check.draw(_CHECKED, generator)
            both = torch.cat([pairs.first, pairs.second]).to(self._device)
            projected = self._network(augment(both, self._network.level, generator, settings))
            own = (torch.arange(2 * _CHECKED, device=self._device) + _CHECKED) % (2 * _CHECKED)
            videos = pairs.videos.repeat(2).to(self._device)
            allowed = candidates(own, videos, first=0, all_videos=videos)
            found.append(float(pair_loss(projected, projected, own, allowed, temperature=settings.temperature)[1]))
            allowed_counts.append(float((1 / allowed.sum(dim=1)).mean()))
        self._network.train()
        self._chance = math.fsum(allowed_counts) / _CHECKS
        return math.fsum(found) / _CHECKS

    def _generator(self, step: int) -> torch.Generator:
        text = f"{self._job.settings.seed}/{step}/{self._rank}"
        return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]))

    @property
    def _checkpoint(self) -> str:
        return f"{self._job.folder}/checkpoint.safetensors"

    def _state(self) -> bytes:
        tensors = {f"network.{name}": value for name, value in self._network.state_dict().items()}
        for number, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
        tensors["curve"] = torch.tensor(self._curve, dtype=torch.float64)
        tensors["held_out"] = torch.tensor(self._held_out, dtype=torch.float64)
        return safetensors.torch.save({name: value.cpu().contiguous() for name, value in tensors.items()})

    def _restore(self) -> None:
        tensors = safetensors.torch.load(read_whole(self._checkpoint).to_pybytes())
        self._curve = [(loss, accuracy) for loss, accuracy in tensors.pop("curve").tolist()]
        self._held_out = [(int(done), accuracy) for done, accuracy in tensors.pop("held_out").tolist()]
        state = self._optimizer.state_dict()
        moments: dict[int, dict[str, torch.Tensor]] = {}
        weights = {}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "network":
                weights[rest] = value
            else:
                number, _, moment = rest.partition(".")
                moments.setdefault(int(number), {})[moment] = value
        self._network.load_state_dict(weights)
        self._optimizer.load_state_dict(state | {"state": moments})

    def _finish(self) -> None:
        if not self._held_out or not self._chance:  # all steps were done before
            self._held_out_accuracy()
        losses, accuracies = zip(*self._curve, strict=True)
        report = LearningReport(
            losses, accuracies, tuple(self._held_out), self._chance, len(self._job.train), len(self._job.held_out)
        )
        write_whole(report_place(self._job.folder), report.to_json().encode())
        write_whole(weights_place(self._job.folder), network_bytes(self._network))  # last: who finds it finds both


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: it rises, then falls as a cosine does."""
    warm = min(1.0, (step + 1) / max(1, min(_WARM_UP, steps // 10)))
    return warm * 0.5 * (1 + math.cos(math.pi * step / steps))
