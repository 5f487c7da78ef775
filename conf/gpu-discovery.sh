#!/bin/sh
# Prints the GPUs of this machine as Spark wants them: {"name": "gpu", "addresses": ["0", "1"]}
# For spark.executor.resource.gpu.discoveryScript and spark.worker.resource.gpu.discoveryScript. Must be executable and
# lie at the same path on every node. nvidia-smi numbers GPUs by PCI bus: set CUDA_DEVICE_ORDER=PCI_BUS_ID, as
# conf/gpu-*.conf do, so that torch does the same.
set -eu
listed=$(nvidia-smi --query-gpu=index --format=csv,noheader)
addresses=$(printf '%s\n' "$listed" | sed -n 's/^ *\([0-9][0-9]*\) *$/"\1"/p' | paste -sd, -)
[ -n "$addresses" ] || { echo "nvidia-smi lists no GPU" >&2; exit 1; }
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"
