"""One engine as a process: loads the table once, then runs whenever it is asked to. Standard library only.

    python serve.py great_expectations      the module beside this file whose `load(form, path)` gives a function that runs once

Requests and answers are JSON lines. {"form", "path", "options"} loads; {} runs and answers {"wall", "cpu"} in seconds with the rules that
the run found broken, and {"peak"}, the most memory that the process ever held, in bytes. A failure answers {"error"}.
Module attributes read: VERSIONS (distributions to name), UNEQUAL (rule -> how it differs from ours).
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import json
import os
import re
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from statistics import median
from typing import Any

Run = Callable[[], Collection[str]]
_TURN = 0.1  # seconds


def timed(run: Run) -> dict[str, Any]:
    """One run; of runs that are over quickly as many as take 0.1 s, and their medians."""
    gc.collect()
    walls, cpus = [], []
    while sum(walls) < _TURN:
        wall, cpu = time.perf_counter(), time.process_time()
        broken = run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"wall": median(walls), "cpu": median(cpus), "broken": sorted(broken), "peak": peak()}


def peak() -> int:
    """Bytes of resident memory at most so far: VmHWM on Linux, ru_maxrss where there is no /proc."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def answered(engine: Any, request: dict[str, Any], run: Run | None) -> tuple[dict[str, Any], Run | None]:
    if "form" in request:
        loaded = engine.load(request["form"], request["path"], **request.get("options", {}))
        versions = {name: importlib.metadata.version(name) for name in engine.VERSIONS}
        return {"versions": versions, "unequal": engine.UNEQUAL, "peak": peak()}, loaded
    if run is None:
        return {"error": "nothing is loaded"}, None
    return timed(run), run


def main(name: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an engine prints is not an answer
    engine, run = None, None
    for line in sys.stdin:
        try:
            engine = engine or importlib.import_module(name)
            answer, run = answered(engine, json.loads(line), run)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is told, with its name
            answer = {"error": f"{type(error).__name__}: {str(error).strip()[:500]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(sys.argv[1])
