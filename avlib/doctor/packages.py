"""Python and its packages: what avlib asks for, and what is there."""

from __future__ import annotations

import platform
import re
import sys
import tomllib
from importlib import metadata

import avlib
from avlib.config import CONF_FOLDER
from avlib.doctor.finding import Finding

LOWEST_PYTHON = (3, 11)


def check_packages() -> Finding:
    """Python, and every package at the version avlib asks for or a newer one."""
    found = f"Python {platform.python_version()}, avlib {avlib.__version__}"
    if sys.version_info < LOWEST_PYTHON:
        return Finding("Python", found, "python3.11 -m venv .venv, or newer, and install avlib there")
    asked, there = requirements(), installed_versions()
    missing = sorted(asked.keys() - there.keys())
    old = [f"{name} {there[name]}" for name, lowest in asked.items() if name in there and _older(there[name], lowest)]
    if missing or old:
        listed = [f"without {', '.join(missing)}"] * bool(missing) + [f"too old: {', '.join(old)}"] * bool(old)
        mend = f"{sys.executable} -m pip install -c conf/constraints.txt .   (in the checkout)"
        return Finding("Python", f"{found}, {'; '.join(listed)}", mend)
    return Finding("Python", f"{found}, {len(asked)} packages")


def requirements() -> dict[str, str]:
    """Lowest version that will do, by package: what the installed wheel asks for, else the checkout."""
    try:
        listed = [text for text in metadata.requires("avlib") or [] if "extra ==" not in text]
    except metadata.PackageNotFoundError:
        text = (CONF_FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8")
        listed = tomllib.loads(text)["project"]["dependencies"]
    asked = {}
    for text in listed:
        name, lowest = re.match(r"([\w.-]+)", text), re.search(r"[>=]=\s*([\d.]+)", text)
        if name:
            asked[name[1]] = lowest[1] if lowest else "0"
    return asked


def installed_versions() -> dict[str, str]:
    """Version of every package avlib asks for that is there."""
    found = {}
    for name in requirements():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _older(version: str, than: str) -> bool:
    """Whether a version comes before another, by their numbers: 2.9.1 before 2.10."""
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]
