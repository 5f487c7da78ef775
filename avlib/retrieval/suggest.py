"""Query picture → nearest clean samples → their sound; and sound → pictures (Solèr et al. 2016, §3.3). No Spark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from avlib import tables
from avlib.arrays import Float32Array, UInt8Array
from avlib.config import SuggestSettings
from avlib.descriptors import normalise_visual
from avlib.errors import AvlibError, WarehouseError
from avlib.media import IsolatedVideo, Region, normalise_picture
from avlib.retrieval.calibration import confidence
from avlib.retrieval.diversity import canonical
from avlib.retrieval.hearing import Listener
from avlib.retrieval.index import MODALITIES, IndexManifest, index_folder, read_manifest
from avlib.retrieval.search import Neighbor, SampleIndex
from avlib.retrieval.sounds import event_around
from avlib.sources import Sources
from avlib.table_log import last_change
from avlib.warehouse import Warehouse

NOTHING_LIKE_IT = {
    "visual": "nothing in the collection looks like this",
    "audio": "nothing in the collection sounds like this",
}


_OF_ONE_VIDEO = 10
"""A shot gives many samples that look alike: so many times as many are looked at, to find those of other videos."""

_MOST_LOOKED_AT = 10_000
"""Samples, to find one of each sound event."""


@dataclass(frozen=True)
class Wish:
    """What a query asks for.

    top: suggestions, at most.  duration_s: of each sound; None: as long as the event at hand goes on.  diverse: sounds
    that differ from one another, from among more samples.  region: the part of the picture that counts.
    """

    top: int
    duration_s: float | None
    diverse: bool = False
    region: Region | None = None

    @classmethod
    def of(cls, settings: SuggestSettings, *, diverse: bool = False, region: Region | None = None) -> Wish:
        """As the settings say."""
        duration_s = None if settings.duration_s == "auto" else settings.duration_s
        return cls(settings.top, duration_s, diverse, region)


@dataclass(frozen=True)
class Suggestion:
    """One suggested moment of a video.

    time_s: of the sample in its video.  distance: between the normalised descriptors, in [0, 2].  component_id: of the
    last step.  start_s, duration_s: of the sound that was cut; the time asked for, or all there is.  file: the WAV (the
    picture, where the query is a sound), None where none was asked for or the source is gone; `unavailable` then says
    why.  film: the MP4, where one was asked for.
    """

    rank: int
    uri: str
    time_s: float
    distance: float
    sample_id: int
    component_id: int | None = None
    start_s: float | None = None
    duration_s: float | None = None
    file: str | None = None
    film: str | None = None
    unavailable: str | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """The answer to a query, best first.

    confidence: that the collection holds its like, in (0, 1], None where it cannot be told (see
    avlib.retrieval.calibration).  note: a sentence, where that is doubtful.
    """

    neighbors: tuple[Neighbor, ...]
    confidence: float | None
    note: str | None = None

    @property
    def suggestions(self) -> list[Suggestion]:
        """As suggestions without files."""
        return [
            Suggestion(rank, one.uri, one.time_s, one.distance, one.sample_id, one.component_id)
            for rank, one in enumerate(self.neighbors, start=1)
        ]


class NotReadyError(WarehouseError):
    """There is nothing to ask in a warehouse yet, or not any more.  sentence: why, and what to do, without any path."""

    def __init__(self, place: str, sentence: str) -> None:
        super().__init__(f"{place}: {sentence}")
        self.sentence = sentence


class Suggester:
    """Suggests sounds for pictures, and pictures for sounds, from one filter run's collection.

    For any number of threads at a time. Raises NotReadyError where there is no index, it is not of the collection as it
    is now, or the collection is empty; WarehouseError where there is no collection, or the index is damaged.
    """

    def __init__(self, warehouse: Warehouse, settings: SuggestSettings) -> None:
        self._warehouse, self._settings = warehouse, settings
        self._folder = index_folder(warehouse.uri, warehouse.name)
        self.manifest = self._present()
        try:
            self._index = self._opened()
        except (WarehouseError, OSError):
            present = self._present()
            if present == self.manifest:
                raise
            self.manifest = present  # made anew in between, and the files before it removed
            self._index = self._opened()
        self._model = self.manifest.model.load(warehouse.uri)

    def open_all(self) -> None:
        """Open what is otherwise opened when it is first asked for."""
        for modality in MODALITIES:
            self._index.open(modality)

    def check(self) -> None:
        """Raise NotReadyError where the collection is another than the one that was indexed, or indexed anew since."""
        self._check_version()
        if self._present() != self.manifest:
            raise NotReadyError(self._folder, "the index was made anew; open it again")

    def _present(self) -> IndexManifest:
        """The manifest that is there now."""
        manifest = read_manifest(self._folder)
        if manifest is None:
            self._warehouse.open(tables.COLLECTION)
            command = f"avlib index --warehouse … --name {self._warehouse.name}"
            raise NotReadyError(self._folder, f"no index; run `{command}`")
        return manifest

    def _opened(self) -> SampleIndex:
        """The index that the manifest names."""
        self._check_version()
        if not self.manifest.shards:
            warehouse = self._warehouse
            sentence = (
                f"the collection {warehouse.name} is empty, so there is nothing to suggest; filter with a lower "
                "components.min_size or a larger knn.k"
            )
            raise NotReadyError(warehouse.uri, sentence)
        return SampleIndex(self._folder, self.manifest)

    def _check_version(self) -> None:
        table = self._warehouse.open(tables.COLLECTION)
        if str(table.metadata().id) != self.manifest.collection_id:
            raise NotReadyError(self._folder, "the index is of another collection; run `avlib index` again")
        indexed, version = self.manifest.collection_version, table.version()
        if indexed > version:
            raise NotReadyError(self._folder, "the index is newer than the collection; run `avlib index` again")
        if indexed < version:  # by a VACUUM, perhaps, which leaves the rows as they are
            changed = last_change(tables.COLLECTION.path(self._warehouse.uri, self._warehouse.name), version)
            if changed is None or changed.version > indexed:
                raise NotReadyError(self._folder, "the index is older than the collection; run `avlib index` again")

    def describe(self, picture: UInt8Array, region: Region | None = None) -> Float32Array:
        """The descriptor of a query picture, shape (d,), L2-normalised.  picture: shape (height, width, 3), RGB."""
        seen = picture if region is None else region.of(picture)
        pixels = normalise_picture(seen, size_px=self.manifest.model.picture_size_px)
        descriptor: Float32Array = normalise_visual(self._model.describe(pixels[None]))[0]
        return descriptor

    def suggest(self, picture: UInt8Array, wish: Wish, sources: Sources | None = None) -> Found:
        """The nearest samples to a picture, shape (height, width, 3), RGB, best first.  sources: see `nearest`."""
        return self.nearest(self.describe(picture, wish.region), "visual", wish, sources)

    def suggest_pictures(self, sound: IsolatedVideo, wish: Wish, sources: Sources | None = None, *, name: str) -> Found:
        """The samples that sound most like a file, best first.  name: of the file, for errors.

        sources: see `nearest`. Raises InputError if there is no sound in it.
        """
        return self.nearest(self._listener.describe(sound, name=name), "audio", wish, sources)

    def nearest(self, descriptor: Float32Array, modality: str, wish: Wish, sources: Sources | None = None) -> Found:
        """The nearest samples to a descriptor, shape (d,), normalised.  modality: `visual` or `audio`.

        sources: what opens the samples' videos. Where it is given and sounds last as long as their events, all samples
        of an event would give the same sound: of each event only the nearest is found, and knows its event.
        """
        near = partial(self._index.search, descriptor, modality=modality)
        among = wish.top * self._settings.diverse_of if wish.diverse else wish.top
        if sources is not None and wish.duration_s is None:
            event, most = partial(self._event, sources), wish.top if wish.diverse else among
            neighbors = _of_each_event(near, event, count=among, per_video=most)
        else:
            neighbors = near(count=among * _OF_ONE_VIDEO if wish.diverse else among)
        sure = confidence(neighbors[0].distance, np.array(self.manifest.nearest.get(modality, ())))
        if wish.diverse:
            neighbors = _diverse(neighbors, wish.top, among=among)
        doubtful = sure is not None and sure < self._settings.doubt
        return Found(tuple(neighbors), sure, NOTHING_LIKE_IT[modality] if doubtful else None)

    def sample(self, sample_id: int) -> Neighbor | None:
        """A sample of the collection by its id, None where there is none."""
        return self._index.sample(sample_id)

    def _event(self, sources: Sources, one: Neighbor) -> tuple[float, float] | None:
        """Begin and end of the sound event around a sample; None where its video cannot be read."""
        try:
            with sources.open(one.uri) as video:
                return event_around(video, video.probe(), one.time_s, self._settings)
        except AvlibError:
            return None

    @cached_property
    def _listener(self) -> Listener:
        return Listener.of(self.manifest, self._warehouse.uri)


def _of_each_event(
    near: Callable[..., list[Neighbor]],
    event: Callable[[Neighbor], tuple[float, float] | None],
    *,
    count: int,
    per_video: int,
) -> list[Neighbor]:
    """So many of the nearest, one of each sound event, with it; fewer where there are none among the very many nearest.

    near: gives the nearest, so many as its `count`; more of them need not begin with fewer.  event: begin and end of a
    sample's, None where its video cannot be read: of that one sample stands for all.  per_video: at most of a video.
    """
    found: list[Neighbor] = []
    seen: set[int] = set()
    looked_at, most = 0, max(_MOST_LOOKED_AT, count)
    while len(found) < count and looked_at < most:
        looked_at = min(4 * max(looked_at, count), most)
        neighbors = near(count=looked_at)
        for one in neighbors:
            if len(found) == count:
                break
            if one.sample_id in seen:
                continue
            seen.add(one.sample_id)
            of_video = [other for other in found if other.uri == one.uri]
            if len(of_video) == per_video or any(_lies_in(one.time_s, other.event) for other in of_video):
                continue
            here = event(one)
            if not any(_lies_in(other.time_s, here) for other in of_video):
                found.append(replace(one, event=here))
        if len(neighbors) < looked_at:  # these were all
            break
    return sorted(found, key=lambda one: (one.distance, one.sample_id))


def _lies_in(time_s: float, event: tuple[float, float] | None) -> bool:
    """Whether a time of a video lies in an event of it; None is one that nobody can tell from others."""
    return event is None or event[0] <= time_s <= event[1]


def _diverse(neighbors: Sequence[Neighbor], count: int, *, among: int) -> list[Neighbor]:
    """Some that sound different, of the nearest so many: of one video no more than are wanted in all."""
    of_video: Counter[str] = Counter()
    near: list[Neighbor] = []
    for one in neighbors:
        of_video[one.uri] += 1
        if of_video[one.uri] <= count and len(near) < among:
            near.append(one)
    return [near[row] for row in canonical(np.stack([one.audio for one in near]), count=count)]
