"""Make this clone's .venv, light, over a folder of dependencies that all clones on the machine share.

The dependencies take gigabytes, so they are installed once for every combination of conf/constraints.txt,
pyproject.toml's dependencies and the Python version, into $AVLIB_CACHE/deps-HASH (default ~/.cache/avlib):
first under another name, renamed when complete, so a folder of that name is always whole. The .venv has pip,
a path file that names this clone and that folder, and the commands. Standard library only.

    python .ci/environment.py install     make or renew .venv; nothing to do is quick
    python .ci/environment.py clean       remove dependencies that no clone's .venv uses any more
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "conf" / "constraints.txt"
CACHE = Path(os.environ.get("AVLIB_CACHE") or "~/.cache/avlib").expanduser().resolve()

STAMP = "avlib-environment.json"
"""In .venv: what it was made from, written last. A .venv without it, or with another, is made anew."""

NEEDED_BYTES = 14 * 10**9
"""Free disk an installation takes at its height: downloads and their unpacked contents side by side."""

LAUNCHERS = {
    # sh starts Python on this very file, to which these lines are a string: a shebang may not be long.
    "avlib": "#!/bin/sh\n"
    '\'\'\'exec\' "{venv}/bin/python" "$0" "$@"\n'
    "' '''\n"
    "import sys\n\nfrom avlib.cli import main\n\n"
    'if __name__ == "__main__":  # spawned processes import this file\n    sys.exit(main())\n',
    "spark-submit": "#!/bin/sh\n"
    'export PYSPARK_PYTHON="${{PYSPARK_PYTHON:-{venv}/bin/python}}"\n'
    'exec "{dependencies}/pyspark/bin/spark-submit" "$@"\n',
}


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def install() -> None:
    """Bring .venv up to date."""
    requirements = read_requirements()
    dependencies = CACHE / f"deps-{dependencies_hash(requirements)}"
    wanted = {
        "root": str(ROOT),
        "python": sys.version,
        "base": sys.base_prefix,
        "dependencies": str(dependencies),
    }
    if dependencies.is_dir() and read_stamp(VENV) == wanted:
        return
    with locked(dependencies):
        if dependencies.is_dir() and read_stamp(VENV) == wanted:
            return  # another set-up of this clone did it meanwhile
        (VENV / STAMP).unlink(missing_ok=True)
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        if not dependencies.is_dir():
            install_dependencies(requirements, dependencies)
        register(dependencies)
        connect(dependencies)
        (VENV / STAMP).write_text(json.dumps(wanted))


def read_requirements() -> list[str]:
    """What pyproject.toml asks for, the developers' extra included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return sorted([*project["dependencies"], *project["optional-dependencies"]["dev"]])


def dependencies_hash(requirements: list[str]) -> str:
    """The same for every clone that can share an installation. 16 hex digits."""
    pins = [line for line in CONSTRAINTS.read_text().splitlines() if line and not line.startswith("#")]
    interpreter = [sys.implementation.cache_tag, sysconfig.get_platform()]
    return hashlib.sha256(json.dumps([requirements, pins, interpreter]).encode()).hexdigest()[:16]


def install_dependencies(requirements: list[str], dependencies: Path) -> None:
    """Install all requirements, pinned. The caller holds the lock, so leftovers are a dead run's."""
    partial = CACHE / f"partial-{dependencies.name}"
    shutil.rmtree(partial, ignore_errors=True)
    make_room()
    print(
        f"set-up: installing dependencies into {dependencies} (once; some minutes)",
        file=sys.stderr,
        flush=True,
    )
    started_s = time.monotonic()
    scratch = partial / "scratch"  # pip's temporary files: on the same disk, and gone with the folder
    scratch.mkdir(parents=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile"]
    target = partial / "target"
    try:
        run(
            [*pip, "--target", str(target), "--constraint", str(CONSTRAINTS), *requirements],
            environment={"TMPDIR": str(scratch)},
        )
        remove_launchers(target / "bin")
        target.rename(dependencies)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"set-up: dependencies installed in {time.monotonic() - started_s:.0f} s", file=sys.stderr)


def remove_launchers(folder: Path) -> None:
    """Drop scripts that would start this clone's Python whoever calls them; programs (ruff) stay."""
    own = str(VENV).encode()
    for script in folder.iterdir():
        if script.is_file() and own in script.open("rb").read(1024):
            script.unlink()


def make_room() -> None:
    """Where the disk is short, remove what no clone uses. Raises SetupError where that is not enough."""
    if shutil.disk_usage(CACHE).free < NEEDED_BYTES:
        clean()
    free_bytes = shutil.disk_usage(CACHE).free
    if free_bytes < NEEDED_BYTES:
        raise SetupError(
            f"installing the dependencies takes {NEEDED_BYTES / 1e9:.0f} GB of disk and {CACHE} has "
            f"{free_bytes / 1e9:.1f} GB: make room, or point AVLIB_CACHE to a larger disk"
        )


def connect(dependencies: Path) -> None:
    """Let .venv find this clone and the dependencies, and give it its commands."""
    packages = sysconfig.get_path("purelib", "venv", vars={"base": str(VENV), "platbase": str(VENV)})
    Path(packages, "avlib.pth").write_text(f"{ROOT}\n{dependencies}\n")
    for name, text in LAUNCHERS.items():
        launcher = VENV / "bin" / name
        launcher.write_text(text.format(venv=VENV, dependencies=dependencies))
        launcher.chmod(0o755)


def users_file(dependencies: Path) -> Path:
    """The list of the clones that use a folder of dependencies, one path a line."""
    return dependencies / "avlib-users.txt"


def register(dependencies: Path) -> None:
    """Note that this clone uses the folder. The caller holds the lock."""
    users = [*living_users(dependencies), str(ROOT)]
    users_file(dependencies).write_text("".join(f"{user}\n" for user in sorted(set(users))))


def living_users(dependencies: Path) -> list[str]:
    """The clones whose .venv still uses the folder."""
    listed = users_file(dependencies).read_text().splitlines() if users_file(dependencies).exists() else []
    return [user for user in listed if read_stamp(Path(user, ".venv")).get("dependencies") == str(dependencies)]


def read_stamp(venv: Path) -> dict[str, str]:
    """What a .venv was made from; empty where that is not known."""
    try:
        return dict(json.loads((venv / STAMP).read_text()))
    except (OSError, ValueError):
        return {}


def clean() -> None:
    """Remove every folder of dependencies that no clone uses, and what interrupted installations left."""
    for name in sorted({path.name.removeprefix("partial-") for path in CACHE.glob("*deps-*") if path.is_dir()}):
        dependencies = CACHE / name
        partial = CACHE / f"partial-{name}"
        with locked(dependencies):
            shutil.rmtree(partial, ignore_errors=True)
            if dependencies.is_dir() and not living_users(dependencies):
                print(f"set-up: removing {dependencies}", file=sys.stderr)
                dependencies.rename(partial)  # never half a folder under its name
                shutil.rmtree(partial)


@contextmanager
def locked(dependencies: Path) -> Iterator[None]:
    """One process at a time installs, joins or removes a folder. A killed one loses its lock."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{dependencies.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("set-up: waiting for another clone's set-up", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: list[str], *, environment: dict[str, str] | None = None) -> None:
    """Run a command with this process' environment and more. Raises SetupError where it fails."""
    # A PYTHONPATH of the user's must not decide what the environment is made of.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(command, env=inherited | (environment or {}), stdin=subprocess.DEVNULL, check=False)
    if finished.returncode:
        raise SetupError(f"`{' '.join(command[:4])} …` ended with {finished.returncode}; its message is above")


def main() -> int:
    """Parse the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=("install", "clean"))
    command = parser.parse_args().command
    try:
        install() if command == "install" else clean()
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
