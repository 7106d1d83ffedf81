"""What this process uses: processor time, memory, file descriptors. Knows no metric."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

__all__ = ["measure_process"]

_SELF: Final = Path("/proc/self")
_STARTED: Final = time.time()


def measure_process() -> dict[str, float]:
    """Return what can be told of this process on this machine, by the names that Prometheus gives these values.

    Source: https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
    """
    values = {
        "process_cpu_seconds_total": time.process_time(),
        "process_start_time_seconds": _STARTED,
    }
    with contextlib.suppress(OSError, ValueError, IndexError):  # not Linux, or no such rights
        pages = int((_SELF / "statm").read_text().split()[1])
        values["process_resident_memory_bytes"] = pages * os.sysconf("SC_PAGE_SIZE")
        values["process_open_fds"] = len(list((_SELF / "fd").iterdir())) - 1  # without the one that lists them
    with contextlib.suppress(ImportError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY:
            values["process_max_fds"] = limit
    return values
