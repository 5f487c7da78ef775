"""How fast a machine is, as `avlib plan --calibrate` measured it, and the file that keeps it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from avlib.config import DescribeSettings, Section
from avlib.errors import InputError
from avlib.storage import cache_folder


class Rates(Section):
    """Of one core: float32 matrix products at kNN's tile size, folds and differences (see avlib.planning.cost), edges
    contracted.

    read_bytes_per_s, write_bytes_per_s: of one machine, memory-mapped from the page cache and written to its disk.
    """

    gemm_flops_per_s: float = Field(gt=0)
    folds_per_s: float = Field(gt=0)
    differences_per_s: float = Field(gt=0)
    edges_per_s: float = Field(gt=0)
    read_bytes_per_s: float = Field(gt=0)
    write_bytes_per_s: float = Field(gt=0)


NOMINAL = Rates(
    gemm_flops_per_s=1e11,
    folds_per_s=5e8,
    differences_per_s=2e9,
    edges_per_s=8e6,
    read_bytes_per_s=2e9,
    write_bytes_per_s=4e8,
)
"""Of one core of an AMD EPYC, rounded: what a method is chosen by where nothing was measured."""


class DescribeRates(Section):
    """Of one core: reading a video's sound and pictures, RMS and MFCCs, and the picture model; and what they hold for.

    gpu_pictures_per_s: of one GPU in half precision; None where there was none.
    """

    s_per_video_minute: float = Field(gt=0)
    pictures_per_s: float = Field(gt=0)
    gpu_pictures_per_s: float | None = Field(None, gt=0)
    visual_model: str
    picture_size_px: int
    frame_rate_hz: float
    frame_stride: int

    def unlike(self, settings: DescribeSettings) -> str | None:
        """The first setting, as --set takes it, with which other rates were to be expected; None where all agree."""
        for name in ("visual_model", "picture_size_px", "frame_rate_hz", "frame_stride"):
            if getattr(self, name) != getattr(settings, name):
                return f"describe.{name}={getattr(settings, name)}"
        return None


class Calibration(Section):
    """What was measured, where and when.  versions: of what did the work, by name."""

    rates: Rates
    describe: DescribeRates
    machine: str
    date: str
    versions: dict[str, str]


def default_place() -> Path:
    """The file that rates are written to and read from where the user names none."""
    return cache_folder() / "rates.json"


def read_rates(path: Path) -> Calibration:
    """What a calibration wrote. Raises InputError, naming --rates and the file, where that cannot be read."""
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"--rates {path}: cannot be read ({error.strerror}); avlib plan --calibrate makes it"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise InputError(f"--rates {path}: {reason}; avlib plan --calibrate makes it anew") from None


def write_rates(calibration: Calibration, path: Path) -> None:
    """Write the file, and its folder where that is missing. Raises InputError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(calibration.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise InputError(f"--rates {path}: cannot be written ({error.strerror})") from None
