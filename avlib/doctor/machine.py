"""Checks of the machine this runs on: weights, GPUs, the warehouse, disk. Each gives one finding."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from avlib.claims import has_locks
from avlib.config import DescribeSettings
from avlib.descriptors.weights import resolve_weights
from avlib.doctor.finding import Finding
from avlib.doctor.space import SPARE_BYTES, free_bytes, temporary_folders
from avlib.errors import AvlibError, ConfigError
from avlib.storage import filesystem
from avlib.warehouse import normalise_uri


def check_weights(settings: DescribeSettings) -> Finding:
    """The picture model's weights, downloaded where that is what the settings say."""
    try:
        weights = resolve_weights(settings.visual_model, settings.visual_weights)
    except ConfigError as error:
        mend = "add --set describe.visual_weights=FILE.pth, or --set describe.visual_model=hog_color"
        return Finding("weights", str(error), mend)
    return Finding("weights", f"{settings.visual_model}: {weights or 'needs none'}")


def check_gpus(settings: DescribeSettings) -> Finding:
    """Whether torch sees the GPUs that this machine has, and one where the settings insist on it."""
    if settings.device == "cpu" or (settings.device == "auto" and shutil.which("nvidia-smi") is None):
        return Finding("GPU", f"none used here (describe.device = {settings.device})")
    import torch  # not before: it takes seconds

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if seen:
        return Finding("GPU", f"torch {torch.__version__} sees {seen}: {torch.cuda.get_device_name(0)}")
    mend = "nvidia-smi   (what does it say? the driver must be as new as torch's CUDA); or --set describe.device=cpu"
    return Finding("GPU", f"torch {torch.__version__} sees none (describe.device = {settings.device})", mend)


def check_warehouse(warehouse: str) -> Finding:
    """Whether a file can be written, renamed, read and deleted in the warehouse."""
    try:
        uri = normalise_uri(warehouse)
        locks = _probe(uri)
    except AvlibError as error:
        return Finding("warehouse", str(error), "name another one by --warehouse")
    except (OSError, pa.ArrowException) as error:
        said = f"{warehouse}: no file can be written, renamed, read and deleted there: {error}"
        if "://" in uri:
            return Finding("warehouse", said, "check the address and the credentials (for S3: AWS_*), and your rights")
        return Finding("warehouse", said, f"mkdir -p {uri} && chmod -R u+rwX {uri}   (as its owner)")
    found = f"{uri}: files can be written, renamed, deleted"
    if uri.startswith(("s3://", "s3a://")):
        once = "one driver at a time writes there, unless Spark has a LogStore that coordinates several"
        return Finding("warehouse", f"{found}; {once}")
    if not locks:
        found += ", not locked: nobody checks who else is at work; run one driver at a time there"
    return Finding("warehouse", found)


def _probe(uri: str) -> bool:
    """Whether a file there can be locked, too."""
    system, path = filesystem(uri)
    there = system.get_file_info(path).type != fs.FileType.NotFound
    name, content = f"{path}/_doctor-{uuid.uuid4().hex}", b"avlib"
    system.create_dir(path, recursive=True)
    try:
        with system.open_output_stream(f"{name}.partial") as stream:
            stream.write(content)
        system.move(f"{name}.partial", name)
        with system.open_input_file(name) as stream:
            if stream.read() != content:
                raise OSError("what was written reads otherwise")
        return isinstance(system, fs.LocalFileSystem) and has_locks(Path(name))
    finally:
        for left in (name, f"{name}.partial"):
            if system.get_file_info(left).type == fs.FileType.File:
                system.delete_file(left)
        if not there:
            system.delete_dir(path)


def check_space(warehouse: str | None) -> Finding:
    """Room for temporary files, and in the warehouse where that is on a disk of this machine."""
    temporary = temporary_folders()
    places = list(temporary)
    if warehouse is not None and "://" not in (uri := normalise_uri(warehouse)):
        places.append(Path(uri))
    free = {place: free_bytes(place) for place in places}
    found = ", ".join(f"{place} has {room / 1e9:.1f} GB free" for place, room in free.items())
    short = [place for place, room in free.items() if room < SPARE_BYTES]
    if not short:
        return Finding("disk", found)
    if short[0] in temporary:
        name = "TMPDIR" if short[0] == temporary[0] else "SPARK_LOCAL_DIRS"
        return Finding("disk", found, f"make room there, or: export {name}=FOLDER with {SPARE_BYTES / 1e9:.0f} GB")
    return Finding("disk", found, f"make room there, or name a --warehouse with {SPARE_BYTES / 1e9:.0f} GB")
