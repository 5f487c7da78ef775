"""Run the notebooks and keep their outputs, small:  python notebooks/execute.py [NOTEBOOK…]

On the warehouse that $AVLIB_WAREHOUSE names, else the demo's. What is kept is what a page that shows notebooks can
show: tables, text and still pictures. Players, and what moves, come when the notebook is run. Takes some minutes.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image
from traitlets.config import Config

from avlib.notebook import find_warehouse

FOLDER = Path(__file__).resolve().parent
NOTEBOOKS = tuple(sorted(FOLDER.glob("*.ipynb")))

_CELL_S = 300
_COLORS = 128  # plots and maps need no more


def run(path: Path, *, warehouse: Path) -> NotebookNode:
    """The notebook with all its outputs.

    Raises nbclient.exceptions.CellExecutionError, which shows the cell, where one fails.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as sockets:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=_CELL_S,
            record_timing=False,
            config=Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"}),  # no ports
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.execute(env=os.environ | {"AVLIB_WAREHOUSE": str(warehouse)})
    return notebook


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    """Of all its cells."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def small(notebook: NotebookNode) -> NotebookNode:
    """The same, as it is committed: no progress, still pictures instead of pages, nothing about this machine."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [_small(output) for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def _small(output: NotebookNode) -> NotebookNode:
    data = output.get("data", {})
    if any(kind.startswith("image/") for kind in data):
        data.pop("text/html", None)
    if "image/png" in data:
        data["image/png"] = _few_colors(data["image/png"])
    return output


def _few_colors(png: str) -> str:
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    picture.quantize(_COLORS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def main() -> None:
    """Run those named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK", help="which; all where none is named")
    named = parser.parse_args().notebooks
    if missing := [path for path in named if not path.is_file()]:
        parser.error(f"{missing[0]}: there is no such notebook")
    warehouse = find_warehouse()
    for path in named or NOTEBOOKS:
        print(f"{path.name}: runs on {warehouse}", flush=True)
        started = time.monotonic()
        nbformat.write(small(run(path.resolve(), warehouse=warehouse)), path)
        print(f"{path.name}: {time.monotonic() - started:.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
