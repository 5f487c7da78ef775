"""The notebooks are committed as somebody who only looks at them wants them. test_demo_command.py runs them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from notebooks.execute import NOTEBOOKS, outputs

MOST_BYTES = 300_000
ABSOLUTE = re.compile(r"""(?:^|[\s'"(=:>])/[\w.-]+/[\w./-]*""")  # a path from the root, two folders deep


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_committed_is_small_whole_and_of_no_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), f"python notebooks/execute.py {path}"
    assert path.stat().st_size < MOST_BYTES
    shown = outputs(notebook)
    assert any(kind.startswith("image/") for output in shown for kind in output.get("data", {}))
    for output in shown:
        assert output.output_type != "error" and "<audio" not in str(output)
        said = [output.get("text", ""), *(v for k, v in output.get("data", {}).items() if k.startswith("text/"))]
        found = ABSOLUTE.search("".join(said))
        assert found is None, f"{path.name} shows {found[0]}"
