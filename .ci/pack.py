"""Pack what a cluster needs into dist/: avlib's wheel, an environment to be shipped with a job, Delta Lake's JARs.

The environment is a virtual one in a .tar.gz, for spark-submit --archives: avlib and the packages it asks for, as they
are installed here, without those of developers and without Spark's own JARs, which a cluster has. A virtual environment
holds no interpreter: the nodes need Python of the same minor version, at the place that --python names.

    python .ci/pack.py [--without-cuda] [--python /usr/bin/python3.11] [--out dist]
"""

from __future__ import annotations

import argparse
import email
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from shutil import copy2, rmtree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = f"lib/python{VERSION}/site-packages"
CUDA = ("nvidia-", "cuda-", "triton")
"""What torch needs of others for GPUs: two thirds of the whole. Without it torch computes on the CPU."""

NOT_PACKED = ("pyspark/jars/", "pyspark/examples/")
COMPRESSION = 1  # most of it is machine code: more takes minutes and saves little

# Printed by spark-submit's own resolution, so that --packages and --jars mean the same files.
LIST_JARS = """
from pyspark import SparkConf, SparkContext
SparkContext._ensure_initialized()
print("JARS=" + SparkConf().get("spark.jars", ""))
"""


def build_wheel(folder: Path) -> Path:
    """avlib's wheel."""
    for old in folder.glob("avlib-*.whl"):
        old.unlink()
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT], check=True)
    return next(folder.glob("avlib-*.whl"))


def needed(wheel: Path, *, cuda: bool) -> list[metadata.Distribution]:
    """The packages that avlib asks for, and those that these ask for, as installed here."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    listed = email.message_from_string(text).get_all("Requires-Dist", [])
    waiting = [asked for asked in map(Requirement, listed) if _wanted(asked, set())]
    found: dict[str, metadata.Distribution] = {}
    seen: set[str] = set()
    while waiting:
        asked = waiting.pop()
        if str(asked) in seen or (not cuda and asked.name.startswith(CUDA)):
            continue
        seen.add(str(asked))
        there = metadata.distribution(asked.name)
        found[canonicalize_name(asked.name)] = there
        waiting += [further for further in map(Requirement, there.requires or []) if _wanted(further, asked.extras)]
    return [found[name] for name in sorted(found)]


def _wanted(requirement: Requirement, extras: set[str]) -> bool:
    """Whether it is asked for on this platform, by a package with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def files_of(package: metadata.Distribution) -> Iterator[tuple[Path, str]]:
    """Its files, and their places below site-packages; commands, which lie elsewhere, are left out."""
    if package.files is None:
        raise SystemExit(f"pack: {package.name} does not say which files it has (no RECORD): install it anew, by pip")
    for file in package.files:
        name = file.as_posix()
        if ".." not in file.parts and not name.startswith(NOT_PACKED) and (path := Path(str(file.locate()))).is_file():
            yield path, name


def write_environment(place: Path, wheel: Path, packages: list[metadata.Distribution], *, python: str) -> int:
    """Write the archive. Returns the bytes in it, unpacked."""
    size = 0
    partial = place.with_name(f"{place.name}.partial")
    with tarfile.open(partial, "w:gz", compresslevel=COMPRESSION) as archive:

        def add(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))

        home = str(Path(python).parent)
        add("pyvenv.cfg", f"home = {home}\ninclude-system-site-packages = false\nversion = {VERSION}\n".encode())
        for name, target in (("python", python), ("python3", "python"), (f"python{VERSION}", "python")):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        with zipfile.ZipFile(wheel) as own:
            for name in own.namelist():
                add(f"{SITE_PACKAGES}/{name}", own.read(name))
        for package in packages:
            for path, name in files_of(package):
                archive.add(path, f"{SITE_PACKAGES}/{name}", recursive=False, filter=_nobodys)
                size += path.stat().st_size
    partial.replace(place)
    return size


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def fetch_jars(folder: Path) -> list[Path]:
    """Delta Lake's JARs, resolved as spark-submit --packages does: from Ivy's cache, else the network."""
    from avlib.spark.delta_jars import DELTA_PACKAGE, OF_DELTA

    submit = str(metadata.distribution("pyspark").locate_file("pyspark/bin/spark-submit"))
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch, "list_jars.py")
        script.write_text(LIST_JARS)
        command = [submit, "--master", "local[1]", "--packages", DELTA_PACKAGE, str(script)]
        environment = os.environ | {"PYSPARK_PYTHON": sys.executable}
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if ran.returncode:
        raise SystemExit(f"pack: {DELTA_PACKAGE} cannot be had; Spark says:\n{ran.stderr}")
    listed = next(line for line in ran.stdout.splitlines() if line.startswith("JARS="))
    jars = [Path(jar.removeprefix("file:").replace("//", "/")) for jar in listed.removeprefix("JARS=").split(",")]
    rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return [Path(copy2(jar, folder)) for jar in jars if jar.name.startswith(OF_DELTA)]


def main() -> None:
    """Parse the command line and pack."""
    here = str(Path(sys.base_prefix, "bin", f"python{VERSION}"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=here, help="where Python is on the nodes; default: where it is here")
    parser.add_argument("--without-cuda", action="store_true", help="leave out what torch needs for GPUs only")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder; default: dist")
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(exist_ok=True, parents=True)
    wheel = build_wheel(out)
    jars = fetch_jars(out / "jars")
    packages = needed(wheel, cuda=not given.without_cuda)
    environment = out / "avlib-environment.tar.gz"
    size = write_environment(environment, wheel, packages, python=given.python)
    packed_gb, unpacked_gb = environment.stat().st_size / 1e9, size / 1e9
    print(wheel)
    print(f"{environment}: {len(packages)} packages, {packed_gb:.1f} GB ({unpacked_gb:.1f} GB unpacked)")
    print(f"{out / 'jars'}: {len(jars)} JARs, {sum(jar.stat().st_size for jar in jars) / 1e6:.0f} MB")
    print(f"the nodes need {given.python}")


if __name__ == "__main__":
    main()
