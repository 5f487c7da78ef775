"""The index: 1M × 576, a query beside flat search in the same run; how long a query's first answer takes from cold."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import pytest
from filled_index import fill_index
from index_files import build_index
from knn_samples import structured_samples
from small_warehouse import make_warehouse

from avlib.config import load_settings
from avlib.retrieval.search import SampleIndex

MACHINE = platform.processor() or platform.machine()
QUERIES = 200
COUNT = 20


@pytest.mark.parametrize("rows", [1_000_000])
def test_a_query_beside_flat_search(rows: int, tmp_path: Path) -> None:
    faiss.omp_set_num_threads(1)
    settings = load_settings().index
    block = structured_samples(rows + rows // 10, dimensions=(576, 8), seed=0)
    visual, audio, ids = block.visual[:rows], block.audio[:rows], block.ids[:rows]
    new = block.visual[rows:]  # of videos that are not in the index
    queries = new[np.random.default_rng(0).permutation(len(new))[:QUERIES]]

    started = time.perf_counter()
    manifest = build_index(tmp_path, ids, visual, audio, settings)
    built_s = time.perf_counter() - started
    started = time.perf_counter()
    index = SampleIndex(str(tmp_path), manifest)
    opened_s = time.perf_counter() - started

    flat = faiss.IndexFlatL2(visual.shape[1])
    flat.add(np.ascontiguousarray(visual))
    del block, visual
    times: dict[str, list[float]] = {"flat": [], "index": []}
    hits = []
    for query in queries:
        started = time.perf_counter()
        _, true = flat.search(query[None], COUNT)
        between = time.perf_counter()
        found = index.search(query, modality="visual", count=COUNT)
        times["flat"].append(between - started)
        times["index"].append(time.perf_counter() - between)
        hits.append(len({one.sample_id for one in found} & set(ids[true[0]].tolist())) / COUNT)

    cells = manifest.cells["visual"]
    median_ms = {name: 1000 * statistics.median(seconds) for name, seconds in times.items()}
    print(
        f"\n{MACHINE}, one thread, {rows:,} × 576 in {len(manifest.shards) // 3} "
        f"shards; built in {built_s:.0f} s in one process; opened (hashes checked) in {opened_s:.1f} s\n"
        f"{cells.probes} of {cells.cells} cells, recall {cells.recall:.3f} by its own samples; "
        f"of {QUERIES} new pictures recall@{COUNT} {np.mean(hits):.4f}\n"
        f"a query: flat {median_ms['flat']:.1f} ms, index {median_ms['index']:.1f} ms "
        f"(95 %: {1000 * np.quantile(times['index'], 0.95):.1f}), {median_ms['index'] / median_ms['flat']:.3f}×; "
        f"the first {1000 * times['index'][0]:.0f} ms"
    )


IMPORTS = "import torch, torchvision, faiss, deltalake"


def test_a_cold_suggestion_beside_its_imports(tmp_path: Path, shared_data: Path) -> None:
    rows = 50_000
    made = make_warehouse(tmp_path)
    fill_index(made, rows, weights=shared_data / "weights" / "mobilenet_v2-imagenet.pth")
    command = [sys.executable, "-c", "from avlib.cli import main; main()", "suggest", str(made.queries["red"])]
    out = ["-w", made.uri, "--out", str(tmp_path / "out")]
    times: dict[str, list[float]] = {"imports": [], "suggest": []}
    for _ in range(5):
        for name, arguments in (("imports", [sys.executable, "-c", IMPORTS]), ("suggest", [*command, *out])):
            started = time.perf_counter()
            subprocess.run(arguments, check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    best = {name: min(seconds) for name, seconds in times.items()}
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(
        f"\n{MACHINE}, {rows:,} samples × 1280, mobilenet_v2, 5 sounds of 2 s cut; "
        f"5 pairs by turns\nimports alone {best['imports']:.2f} s (median {middle['imports']:.2f}), avlib suggest "
        f"{best['suggest']:.2f} s (median {middle['suggest']:.2f}): {best['suggest'] / best['imports']:.2f}× "
        f"({middle['suggest'] / middle['imports']:.2f}×)"
    )
