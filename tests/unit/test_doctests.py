"""The examples in docstrings say what is so."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
from pathlib import Path

import pytest

import avlib

ROOT = Path(avlib.__file__).parent
WITH_EXAMPLES = sorted(path for path in ROOT.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        failed, tried = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried and not failed, said.getvalue()


def test_the_core_has_examples() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in WITH_EXAMPLES}
    assert {"config/settings.py", "descriptors/mfcc.py", "filtering/in_memory.py", "graph/mutual.py"} <= found
