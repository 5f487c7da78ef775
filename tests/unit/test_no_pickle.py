"""Data and models are never unpickled: whoever can write a file must not run code where it is read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import avlib

SOURCES = sorted(Path(avlib.__file__).parent.rglob("*.py"))
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def unpickling(source: str) -> list[str]:
    """What in a Python source unpickles what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in PICKLES:
            found.append(ast.unparse(node))
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        call, options = ast.unparse(node.func), {option.arg: ast.unparse(option.value) for option in node.keywords}
        module, _, name = call.rpartition(".")
        if (
            (module in PICKLES and name in ("load", "loads", "open", "Unpickler"))
            or (call == "torch.load" and options.get("weights_only") != "True")
            or options.get("allow_pickle", "False") != "False"
            or name == "read_pickle"
        ):
            found.append(ast.unparse(node))
    return found


def test_none_in_avlib() -> None:
    assert len(SOURCES) > 100
    assert {str(path): calls for path in SOURCES if (calls := unpickling(path.read_text()))} == {}


@pytest.mark.parametrize(
    "call",
    [
        "pickle.load(f)",
        "from pickle import loads",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p, allow_pickle=True)",
    ],
)
def test_the_check_finds_them(call: str) -> None:
    assert unpickling(call) == [call]
    assert unpickling("torch.load(p, weights_only=True)") == []
