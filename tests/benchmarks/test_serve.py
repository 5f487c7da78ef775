"""The page: how long a warm request takes, and what 50 clients at a time do to the server."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filled_index import fill_index
from page_server import Page
from small_warehouse import SmallWarehouse, make_warehouse

MACHINE = platform.processor() or platform.machine()
CLIENTS = 50
CLIENTS_S = float(os.environ.get("AVLIB_CLIENTS_S", "300"))
PORT = 8799


@contextmanager
def serving(made: SmallWarehouse) -> Iterator[tuple[Page, subprocess.Popen[str]]]:
    """`avlib serve` in a process of its own, once it listens."""
    command = [sys.executable, "-c", "from avlib.cli import main; main()", "serve", "-w", made.uri, "--port", str(PORT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and str(PORT) in process.stdout.readline()
        yield Page(f"http://127.0.0.1:{PORT}"), process
    finally:
        process.terminate()
        process.wait()


def memory_mb(process: int) -> float:
    """Resident memory of a process and its children (Linux)."""
    total = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:  # it ended meanwhile
            continue
        if process in (int(lines["Pid"]), int(lines["PPid"])):
            total += int(lines.get("VmRSS", "0 kB").split()[0]) / 1024
    return total


def test_a_warm_request(tmp_path: Path, shared_data: Path) -> None:
    made = make_warehouse(tmp_path)
    fill_index(made, 50_000, weights=shared_data / "weights" / "mobilenet_v2-imagenet.pth")
    query = {"picture": made.queries["red"].read_bytes()}
    started = time.perf_counter()
    with serving(made) as (page, _):
        began_s = time.perf_counter() - started
        print(f"\n{MACHINE}, 50,000 samples × 1280, mobilenet_v2; up in {began_s:.1f} s")
        for duration in ("2", "auto"):
            times = []
            for _ in range(12):
                started = time.perf_counter()
                found = page.post("/api/sounds", query, top=5, duration=duration).values["suggestions"]
                assert all(page.get(one["sound"]).status == 200 for one in found)
                times.append(time.perf_counter() - started)
            print(
                f"a request and its {len(found)} sounds of {duration} s: first {times[0]:.2f} s, then median "
                f"{statistics.median(times[2:]):.2f} s, at most {max(times[2:]):.2f} s"
            )


def test_fifty_clients(tmp_path: Path) -> None:
    made = make_warehouse(tmp_path)
    queries = {name: {"picture": file.read_bytes()} for name, file in made.queries.items()}
    statuses: Counter[int] = Counter()
    waits: list[float] = []

    def visit(page: Page, until_s: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        while time.monotonic() < until_s:
            started = time.monotonic()
            duration = round(float(random.uniform(0.5, 4)), 2)
            reply = page.post("/api/sounds", queries[str(random.choice(list(queries)))], top=3, duration=duration)
            statuses[reply.status] += 1
            waits.append(time.monotonic() - started)
            for one in reply.values["suggestions"]:
                for path in (one["sound"], one["frame"]):
                    statuses[page.get(path).status] += 1

    with serving(made) as (page, process):
        page.post("/api/sounds", queries["red"], top=3)
        until_s = time.monotonic() + CLIENTS_S
        threads = [threading.Thread(target=visit, args=(page, until_s, seed)) for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        memory = []
        while time.monotonic() < until_s:
            time.sleep(CLIENTS_S / 10)
            memory.append(memory_mb(process.pid))
        for thread in threads:
            thread.join()
    print(
        f"\n{MACHINE}, {CLIENTS} clients for {CLIENTS_S:.0f} s: answers {dict(statuses)}; "
        f"a query takes {statistics.median(waits):.2f} s (95 %: {np.quantile(waits, 0.95):.2f})\n"
        f"memory of server and decoders, MB, after each tenth: {', '.join(f'{one:.0f}' for one in memory)}"
    )
