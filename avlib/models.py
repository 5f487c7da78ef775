"""The models of a warehouse: their weights are kept in it, so that workers and queries use the very same.

The picture model, and the network behind audio_learned where `avlib learn` has trained one.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path

from avlib.config import DescribeSettings, LearnSettings, hash_of
from avlib.descriptors.visual import VisualDescriptor, load_visual_descriptor
from avlib.descriptors.weights import resolve_weights, save_weights
from avlib.errors import WarehouseError
from avlib.storage import is_file, local_copy, read_whole, write_whole


@dataclass(frozen=True)
class StoredModel:
    """A picture model and what its descriptors were made with.

    weights: file below the warehouse, None for a classical descriptor.  model_hash: of the name and the weights.
    picture_size_px: side of the pictures it is given.
    """

    name: str
    weights: str | None
    model_hash: str
    picture_size_px: int

    def load(self, warehouse: str, *, device: str = "cpu") -> VisualDescriptor:
        """The model itself, on a device ("cpu", "cuda:1").

        Raises WarehouseError where the stored weights are not the ones it was made with.
        """
        weights = None if self.weights is None else local_copy(f"{warehouse}/{self.weights}")
        model = load_visual_descriptor(self.name, weights, device=device)
        if model.model_hash != self.model_hash:
            raise WarehouseError(
                f"{weights}: not the weights the samples were described with; put back the original file, or remove "
                "this one and run `avlib describe`, which stores them anew"
            )
        return model


def store_model(settings: DescribeSettings, *, warehouse: str) -> StoredModel:
    """Find the model's weights, check that they fit, and keep a copy in the warehouse.

    A warehouse that has them from the same source already is not asked twice: to load them takes torch, and seconds.
    Raises ConfigError where the weights cannot be had or do not fit the model.
    """
    if known := _known_model(settings, warehouse):
        return known
    name, size_px = settings.visual_model, settings.picture_size_px
    found = resolve_weights(name, settings.visual_weights)
    if found is None:
        return StoredModel(name, None, load_visual_descriptor(name, None).model_hash, size_px)
    with tempfile.TemporaryDirectory(prefix="avlib-") as folder:
        copy = Path(folder, "weights.safetensors")
        save_weights(name, found, copy)
        model_hash = load_visual_descriptor(name, copy).model_hash
        stored = f"models/{name}-{model_hash[:16]}.safetensors"
        if not is_file(f"{warehouse}/{stored}"):
            write_whole(f"{warehouse}/{stored}", copy.read_bytes())
    model = StoredModel(name, stored, model_hash, size_px)
    write_model(model, warehouse=warehouse, described_with=source_of_weights(settings))
    return model


def require_weights(settings: DescribeSettings, *, warehouse: str) -> None:
    """Raise ConfigError where store_model will not find the model's weights: sooner told than Spark is started."""
    if _known_model(settings, warehouse) is None:
        resolve_weights(settings.visual_model, settings.visual_weights)


def _known_model(settings: DescribeSettings, warehouse: str) -> StoredModel | None:
    """The model, where the warehouse has its weights from the same source."""
    source = source_of_weights(settings)
    if not is_file(_place(warehouse, source)):
        return None
    with suppress(ValueError, TypeError):  # a damaged record is as good as none
        known = read_model(warehouse, source)
        if is_file(f"{warehouse}/{known.weights}"):
            return replace(known, picture_size_px=settings.picture_size_px)
    return None


def source_of_weights(settings: DescribeSettings) -> str:
    """Hash of what decides which weights the picture model gets, told without torch."""
    weights = Path(settings.visual_weights).expanduser()
    if weights.is_file():
        with weights.open("rb") as file:
            given = hashlib.file_digest(file, "sha256").hexdigest()
    else:
        given = f"{settings.visual_weights} of torchvision {metadata.version('torchvision')}"
    return hash_of([settings.visual_model, weights.suffix, given])


def described_with(settings: DescribeSettings, model: StoredModel) -> str:
    """Hash of all that decides what a description holds, besides the file: settings and model."""
    # How many at a time, and where the weights came from, change no row. A GPU's half precision moves a
    # normalised descriptor by some 0.003, which distances do not feel: one warehouse may be described on both.
    elsewhere = {"batch_videos", "picture_batch", "visual_weights", "device"}
    deciding = settings.model_dump(mode="json", exclude=elsewhere)
    return hash_of([deciding, model.model_hash])


def write_model(model: StoredModel, *, warehouse: str, described_with: str) -> None:
    """Record the model behind `described_with`."""
    write_whole(_place(warehouse, described_with), json.dumps(asdict(model), indent=1).encode())


def read_model(warehouse: str, described_with: str) -> StoredModel:
    """The model that samples were described with. Raises WarehouseError where there is no record of it."""
    place = _place(warehouse, described_with)
    if not is_file(place):
        raise WarehouseError(f"{place}: the record of the picture model is missing; run `avlib describe` again")
    return StoredModel(**json.loads(read_whole(place).to_pybytes()))


@dataclass(frozen=True)
class StoredSoundModel:
    """The network behind audio_learned.

    weights: file below the warehouse.  model_hash: of the weights, and the settings they are used with.
    settings: it was trained with.  learned_from: hash of the settings and the videos.
    """

    weights: str
    model_hash: str
    settings: LearnSettings
    learned_from: str


def write_sound_model(model: StoredSoundModel, *, warehouse: str) -> None:
    """Make this the network of the warehouse."""
    values = asdict(model) | {"settings": model.settings.model_dump(mode="json")}
    write_whole(f"{warehouse}/{_SOUND_MODEL}", json.dumps(values, indent=1).encode())


def read_sound_model(warehouse: str) -> StoredSoundModel | None:
    """The network of the warehouse, None where none has been trained."""
    place = f"{warehouse}/{_SOUND_MODEL}"
    if not is_file(place):
        return None
    values = json.loads(read_whole(place).to_pybytes())
    settings = LearnSettings.model_validate(values["settings"])
    return StoredSoundModel(values["weights"], values["model_hash"], settings, values["learned_from"])


LEARNED_MODEL = "audio_learned"
"""What the names of the network's files begin with."""

_SOUND_MODEL = f"models/{LEARNED_MODEL}.json"


def _place(warehouse: str, described_with: str) -> str:
    return f"{warehouse}/models/{described_with}.json"
