"""What a benchmark ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path


def machine() -> dict[str, str | int]:
    """Processor, cores, memory in GB, system, and the versions of what we run on."""
    ours = ("dagster-contracts", "polars", "pandas", "pyarrow")
    versions = {name: importlib.metadata.version(name) for name in ours}
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or sys.platform
