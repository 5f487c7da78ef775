"""torchvision without torch's compiler: half of what a process needs to be ready for its first picture.

Its detection models ask torch._dynamo one question when they are run, and so importing any model loads the compiler,
triton and sympy with it: some 4 s of a core in every worker, for nothing that is used here.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_COMPILER, _ASKED = "torch._dynamo", "torch._dynamo.utils"


def import_torchvision() -> ModuleType:
    """torchvision, whole; of the compiler it has a stand-in that answers no. The compiler itself stays importable."""
    if _COMPILER in sys.modules or "torchvision" in sys.modules:
        return importlib.import_module("torchvision")
    compiler, asked = ModuleType(_COMPILER), ModuleType(_ASKED)
    compiler.__path__ = []
    asked.is_compile_supported = lambda device_type: False  # type: ignore[attr-defined]
    sys.modules |= {_COMPILER: compiler, _ASKED: asked}
    try:
        return importlib.import_module("torchvision")
    except (ImportError, AttributeError):  # another version asks for more
        _forget("torchvision")
    finally:
        _forget(_COMPILER)
    return importlib.import_module("torchvision")


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
        del sys.modules[name]
