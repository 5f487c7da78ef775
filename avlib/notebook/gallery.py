"""Any samples of a warehouse as contact sheets, kept or not; why they were; and the map of a collection."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds

from avlib import tables
from avlib.arrays import Float32Array, Int64Array
from avlib.columns import descriptor_rows
from avlib.config import Settings, load_settings
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.errors import ParameterError, WarehouseError
from avlib.evaluation import SampleSet, read_samples
from avlib.inputs import video_name
from avlib.notebook.scatter import CollectionMap, principal_plane
from avlib.notebook.sheet import Clip, ContactSheet
from avlib.report import clips
from avlib.report.picks import evenly, spread_over_videos
from avlib.report.reasons import BESIDE, look_alike
from avlib.sources import Sources
from avlib.warehouse import Warehouse


def open_gallery(
    warehouse: str | Path, *, name: str = "default", config: Sequence[Path] = (), assign: Sequence[str] = ()
) -> Gallery:
    """The samples of a warehouse, and a filter run of them.  config, assign: as the command line's --config and --set.

    Raises WarehouseError where nothing has been described.
    """
    return Gallery(Warehouse(str(warehouse), name=name), load_settings(config, assign))


class Gallery:
    """Shows samples by their ids. It keeps a decoding process, which goes with it, or with a `with` block."""

    def __init__(self, warehouse: Warehouse, settings: Settings) -> None:
        self.warehouse = warehouse
        warehouse.open(tables.SAMPLES)
        self._sources = Sources(settings.fetch, settings.decode)
        self._close = weakref.finalize(self, self._sources.__exit__)

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @cached_property
    def samples(self) -> SampleSet:
        """All samples that count, as they are when first asked for."""
        return read_samples(self.warehouse)

    def sheet(self, ids: Sequence[int], *, notes: Sequence[str] = (), title: str = "") -> ContactSheet:
        """Pictures and sounds of samples, in this order.  notes: one for each, instead of its time.

        A video that is gone costs its own clips only. Raises ParameterError for an id that is no sample's, or notes
        that are not as many.
        """
        if len(notes) not in (0, len(ids)):
            raise ParameterError("notes", f"{len(notes)} of them", f"one for each sample, {len(ids)}, or none")
        shown = self.samples.take(self._rows(ids))
        said = notes or [f"{time_s:.1f} s" for time_s in shown.times_s.tolist()]
        made = []
        pictures = self._pictures(shown)
        for uri, time_s, note, picture in zip(shown.uris.tolist(), shown.times_s.tolist(), said, pictures, strict=True):
            made.append(Clip(video_name(uri), note, picture, clips.sound(self._sources, uri, time_s)))
        return ContactSheet(tuple(made), title)

    def component(self, component_id: int, *, count: int = 6) -> ContactSheet:
        """Some samples of a component of the collection, spread over its videos.

        Raises ParameterError for a component that the last step did not keep.
        """
        found = self._collection(["sample_id", "component_ids"])
        last = np.array([steps[-1] for steps in found["component_ids"].to_pylist()], np.int64)
        rows = self._rows(found["sample_id"].to_numpy()[last == component_id].tolist())
        if not len(rows):
            raise ParameterError("component_id", component_id, f"a component of the collection {self.warehouse.name}")
        rows = np.sort(rows)
        videos = self.samples.uris[rows]
        picked = spread_over_videos(rows, videos, count=count)
        many = len(np.unique(videos))
        title = f"component {component_id}: {len(rows)} samples of {many} video{'s' if many > 1 else ''}"
        return self.sheet(self.samples.ids[picked].tolist(), title=title)

    def why(self, sample_id: int) -> ContactSheet:
        """A sample, marked, and beside it what speaks for or against it.

        Of one that agrees, the samples of other videos that bear it out most; of another those that look most like it:
        they sound otherwise. Raises WarehouseError where the strategy is not scored, ParameterError where the sample
        has no score.
        """
        table = self.warehouse.open(tables.SCORES)
        found = table.to_pyarrow_dataset().to_table(filter=ds.field("sample_id") == sample_id).to_pylist()
        if not found:
            raise ParameterError("sample_id", sample_id, "a sample that has a score: no copy, and not described since")
        (scored,) = found
        if scored["kept"]:
            beside, said = scored["supporters"][:BESIDE], "bears it out"
        else:
            (alike,) = look_alike(self.warehouse, np.array([sample_id]), among=self.samples.ids)
            beside, said = alike.tolist(), "looks like it"
        bear_out = f"{scored['videos']} other video{'' if scored['videos'] == 1 else 's'}"
        title = f"score {scored['score']:.2f}, borne out by {bear_out}: {self._verdict(sample_id, scored['kept'])}"
        times_s = self.samples.times_s[self._rows([sample_id, *beside])].tolist()
        words = ["the sample", *[said] * len(beside)]
        notes = [f"{time_s:.1f} s, {word}" for time_s, word in zip(times_s, words, strict=True)]
        own, *others = self.sheet([sample_id, *beside], notes=notes).clips
        return ContactSheet((Clip(own.title, own.note, own.picture, own.sound, marked=True), *others), title)

    def map(self, *, most: int = 240) -> CollectionMap:
        """The collection on the plane on which it spreads most, half by picture and half by sound.

        most: samples that are drawn, evenly over the videos; each has its frame, so a map takes some kB a sample.
        Raises WarehouseError for a collection of fewer than three samples, which spread on no plane.
        """
        ids = self._collection(["sample_id"]).sort_by("sample_id")["sample_id"].to_numpy()
        if len(ids) < 3:
            raise WarehouseError(f"the collection {self.warehouse.name} has {len(ids)} samples: too few for a map")
        drawn = evenly(ids, min(most, len(ids)))
        columns = ["sample_id", "component_ids", "visual", "audio", "audio_descriptor"]
        rows = self._collection(columns, ds.field("sample_id").isin(drawn.tolist())).sort_by("sample_id")
        audio = normalise_audio(descriptor_rows(rows["audio"]), self._stats(rows["audio_descriptor"][0].as_py()))
        both: Float32Array = np.concatenate([normalise_visual(descriptor_rows(rows["visual"])), audio], axis=1)
        points, shares = principal_plane(both)
        shown = self.samples.take(self._rows(drawn.tolist()))
        return CollectionMap(
            points=points,
            shares=shares,
            component_ids=np.array([steps[-1] for steps in rows["component_ids"].to_pylist()], np.int64),
            titles=tuple(f"{video}, {at_s:.1f} s" for video, at_s in zip(shown.videos, shown.times_s, strict=True)),
            pictures=tuple(self._pictures(shown)),
            of=len(ids),
        )

    def _verdict(self, sample_id: int, agrees: bool) -> str:
        """What came of a sample that has a score."""
        if self._collection(["sample_id"], ds.field("sample_id") == sample_id).num_rows:
            return "kept"
        return "dropped, as its component was too small" if agrees else "dropped"

    def _collection(self, columns: list[str], rows: ds.Expression | None = None) -> Any:
        return self.warehouse.open(tables.COLLECTION).to_pyarrow_dataset().to_table(columns=columns, filter=rows)

    def _stats(self, descriptor: str) -> DescriptorStats:
        """The newest of a sound descriptor."""
        table = self.warehouse.open(tables.DESCRIPTOR_STATS).to_pyarrow_dataset()
        *_, row = table.to_table(filter=ds.field("descriptor") == descriptor).sort_by("version").to_pylist()
        return DescriptorStats(np.array(row["mean"]), np.array(row["deviation"]), row["samples"])

    def _rows(self, ids: Sequence[int]) -> Int64Array:
        """Where these samples are among all. Shape (n,)."""
        wanted = np.array(ids, np.int64)
        rows = np.searchsorted(self.samples.ids, wanted)
        there = np.isin(wanted, self.samples.ids)
        if not there.all():
            raise ParameterError("sample_id", int(wanted[~there][0]), f"a sample of {self.warehouse.uri}")
        return rows

    def _pictures(self, shown: SampleSet) -> list[str | None]:
        """Thumbnails as data URIs; every video is opened once."""
        found: list[str | None] = [None] * len(shown)
        for uri in np.unique(shown.uris).tolist():
            rows = np.flatnonzero(shown.uris == uri)
            times_s, place = np.unique(shown.times_s[rows], return_inverse=True)
            made = clips.thumbnails(self._sources, uri, times_s)
            for row, which in zip(rows.tolist(), place.tolist(), strict=True):
                found[row] = made[which]
        return found
