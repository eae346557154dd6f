"""An allocator that keeps its pages, for benchmarks that time activations."""

from __future__ import annotations

import os
import sys

#: With glibc's defaults the pages of large activations are mapped anew in every step: both sides
#: then spend up to half of the time in the kernel, and every ratio is distorted.
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "67108864",
    "OMP_NUM_THREADS": "1",
}


def settle() -> None:
    """Starts the script anew under ENVIRONMENT, unless it runs so already."""
    if any(os.environ.get(k) != v for k, v in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})
