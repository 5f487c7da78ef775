"""The layers that settings come from: conf/default.toml, overlay files, --set; merged, with the origin of every key."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from avlib.errors import ConfigError

_PACKAGE = Path(__file__).parent.parent
# A wheel carries conf/ inside the package; a checkout keeps it at the top.
CONF_FOLDER = next((p for p in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if p.is_dir()), _PACKAGE / "conf")

Origins: TypeAlias = dict[tuple[str, ...], str]
"""Which file, or --set, a key was last set by."""


def read_layers(
    overlays: Sequence[Path], assignments: Sequence[str], options: Mapping[str, str]
) -> tuple[dict[str, Any], Origins]:
    """All values, later layers over earlier ones, and where each key comes from. Raises ConfigError.

    options: assignments that options of their own stand for, and these as they were typed.
    """
    layers = [_read_toml(CONF_FOLDER / "default.toml")]
    layers += [_read_toml(_overlay_place(path)) for path in overlays]
    layers += [(f"--set {text}", _parse_assignment(text)) for text in assignments]
    layers += [(option, _parse_assignment(text)) for text, option in options.items()]
    merged: dict[str, Any] = {}
    origins: Origins = {}
    for source, values in layers:
        merged = _merge(merged, values)
        origins |= {key: source for key in _leaves(values)}
    return merged, origins


def _overlay_place(path: Path) -> Path:
    return CONF_FOLDER / path if path == Path(path.name) and not path.exists() else path


def _read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        return str(path), tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: no such settings file ({error.strerror}); name a .toml file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _parse_assignment(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or "." not in key:
        raise ConfigError(f"--set {text}: write section.key=value, for example --set knn.k=50")
    for candidate in (text, f"{key} = {json.dumps(value.strip())}"):  # a bare word is a string
        try:
            return tomllib.loads(candidate)
        except tomllib.TOMLDecodeError:
            continue
    raise ConfigError(f"--set {text}: not a key and a value in TOML")


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _leaves(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*prefix, key))
        yield (*prefix, key)
