"""What an experiment starts from: clean samples whose truth is known, and sounds that belong to no category."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from avlib.agreement import Described
from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.descriptors import DescriptorStats, ExactSums, normalise_audio
from avlib.errors import InputError
from avlib.evaluation.labels import Labels, StrArray, Truth
from avlib.evaluation.samples import SampleSet
from avlib.filtering import SampleArrays
from avlib.identity import video_ids

SILENCE = "silence"
"""The sound_category of stretches in which nothing is heard: no sound to put under another picture."""

_NAMED = 5  # videos named in a message; of more the number must do


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """Samples and what they show. All arrays have n rows.

    ids, times_s: shape (n,), as in `samples`.  visual: shape (n, d_V), normalised.  audio: shape (n, d_A), raw, as
    what sound is standardised by hangs on which samples are there.  sound_ids: shape (n,), the samples that the sounds
    are of: their own, until they are replaced.  sounds: the raw sound descriptors that agreement listens to, each of
    shape (n, d); none where it is not asked.
    """

    ids: Int64Array
    times_s: Float64Array
    visual: Float32Array
    audio: Float32Array
    truth: Truth
    sound_ids: Int64Array
    sounds: tuple[Float32Array, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Int64Array | BoolArray) -> LabelledSamples:
        """The samples in these rows."""
        return LabelledSamples(
            self.ids[rows],
            self.times_s[rows],
            self.visual[rows],
            self.audio[rows],
            self.truth.take(rows),
            self.sound_ids[rows],
            tuple(sound[rows] for sound in self.sounds),
        )

    @property
    def videos(self) -> Int64Array:
        """The video of each sample. Shape (n,)."""
        return video_ids(self.ids)

    def audio_stats(self) -> DescriptorStats:
        """Mean and deviation of their sound, as `descriptor_stats` would hold if these were all samples."""
        return _stats(self.audio)

    def normalised(self) -> SampleArrays:
        """As the filter takes them, their sound standardised among themselves."""
        return SampleArrays(self.ids, self.visual, normalise_audio(self.audio, self.audio_stats()), self.times_s)

    def described(self) -> Described:
        """As agreement takes them, their sounds standardised among themselves."""
        sounds = tuple(normalise_audio(sound, _stats(sound)) for sound in self.sounds)
        return Described(self.ids, self.times_s, self.visual, sounds)


def _stats(raw: Float32Array) -> DescriptorStats:
    sums = ExactSums.empty(raw.shape[1])
    sums.update(raw)
    return sums.stats()


@dataclass(frozen=True, eq=False)
class Material:
    """clean: samples whose picture and sound belong together.  outside: sounds of no category of theirs."""

    clean: LabelledSamples
    outside: LabelledSamples

    @property
    def categories(self) -> StrArray:
        """The categories of the clean samples, in alphabetical order."""
        return np.unique(self.clean.truth.picture)

    def fingerprint(self) -> str:
        """Hash of the samples, their descriptors and their labels. 16 hex digits."""
        digest = hashlib.sha256()
        for samples in (self.clean, self.outside):
            words = "\n".join([*samples.truth.picture.tolist(), *samples.truth.sound.tolist()])
            digest.update(words.encode())
            for array in (samples.ids, samples.visual, samples.audio, *samples.sounds):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Exclusions:
    """What the labels or the warehouse hold and the experiment leaves out.

    unknown_videos: labelled ones without a sample.  lone_categories: clean in one video only, so that no other video
    could be right about it.  in_gaps, not_clean, lone: samples between labelled stretches, not clean (those outside
    the categories lend their sounds), and of lone categories.
    """

    unknown_videos: tuple[str, ...]
    lone_categories: tuple[str, ...]
    in_gaps: int
    not_clean: int
    lone: int

    def lines(self) -> list[str]:
        """In words, what there is of it."""
        said = []
        if self.unknown_videos:
            named = ", ".join(self.unknown_videos[:_NAMED]) + (" …" if len(self.unknown_videos) > _NAMED else "")
            said.append(f"{len(self.unknown_videos)} labelled videos have no samples here: {named}")
        if self.in_gaps:
            said.append(f"{self.in_gaps} samples lie in gaps between labels")
        if self.not_clean:
            said.append(f"{self.not_clean} samples are not clean")
        if self.lone_categories:
            said.append(f"{self.lone} samples of {', '.join(self.lone_categories)}: clean in one video only")
        return said


def find_material(
    samples: SampleSet,
    *,
    visual: Float32Array,
    audio: Float32Array,
    labels: Labels,
    sounds: tuple[Float32Array, ...] = (),
) -> tuple[Material, Exclusions]:
    """Sort loud samples by their labels.

    visual: shape (n, d_V), normalised.  audio, sounds: as in LabelledSamples.
    Raises InputError where two videos have one name, so that a label could mean either, where nothing is clean, where
    what is clean has another category for the picture than for the sound, and where fewer than two categories are.
    """
    names = samples.videos
    _refuse_namesakes(names, video_ids(samples.ids))
    truth = samples.truth(labels)
    loud = LabelledSamples(samples.ids, samples.times_s, visual, audio, truth, samples.ids, sounds)
    if not truth.clean.any():
        raise InputError(f"of {len(loud)} loud samples none is clean by the labels: are they of these videos?")
    contrary = truth.clean & (truth.picture != truth.sound)
    if contrary.any():
        row = int(np.flatnonzero(contrary)[0])
        raise InputError(
            f"labels: {names[row]} is clean at {samples.times_s[row]:.2f} s with a picture of {truth.picture[row]} and "
            f"a sound of {truth.sound[row]}: write one category for both, or is_clean = 0"
        )
    lone = _lone_categories(loud)
    of_lone = truth.clean & np.isin(truth.picture, lone)
    clean = loud.take(truth.clean & ~of_lone)
    categories = np.unique(clean.truth.picture)
    if len(categories) < 2:
        found = ", ".join(np.unique(truth.picture[truth.clean]))
        raise InputError(
            f"labels: clean samples are of {found}: two categories are needed that are clean in two videos each"
        )
    heard = truth.labelled & (truth.sound != SILENCE)
    outside = loud.take(heard & ~truth.clean & ~np.isin(truth.sound, np.concatenate([categories, lone])))
    excluded = Exclusions(
        unknown_videos=tuple(sorted(set(labels.videos) - set(names.tolist()))),
        lone_categories=tuple(lone.tolist()),
        in_gaps=int((~truth.labelled).sum()),
        not_clean=int((truth.labelled & ~truth.clean).sum()),
        lone=int(of_lone.sum()),
    )
    return Material(clean, outside), excluded


def _lone_categories(samples: LabelledSamples) -> StrArray:
    """Picture categories whose clean samples are all of one video."""
    clean = samples.take(samples.truth.clean)
    found = np.unique(clean.truth.picture)
    videos = [len(np.unique(clean.videos[clean.truth.picture == category])) for category in found]
    return found[np.array(videos) < 2]


def _refuse_namesakes(names: StrArray, videos: Int64Array) -> None:
    of_name: dict[str, int] = {}
    for name, video in set(zip(names.tolist(), videos.tolist(), strict=True)):
        if of_name.setdefault(name, video) != video:
            raise InputError(f"two videos are called {name}: labels could mean either; rename one")
