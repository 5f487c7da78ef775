"""The environment of Python workers: Spark's, and the process in which `avlib plan` times one core."""

from __future__ import annotations

# To be set before a process starts. Each worker computes on one thread, as there are as many workers as cores. Keeping
# freed memory in the process spares the page faults that make CNN inference several times slower.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}
