"""A file system without space left, under SQLite: a real one of 1 MB, mounted in a namespace of its own (as root, or as a user)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# In the namespace: mounts the small file system, fills what is left of it, and tells what the store said at each step.
_FILL = """
import json, sys
from pathlib import Path
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.store.sql import SqlStore
from tests.store.racing import append

folder = Path(sys.argv[1])
store = SqlStore(f"sqlite:///{folder}/store.db")
append(store, "before")
filler = folder / "filler"
with filler.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        pass
written, refused = 0, None
while refused is None and written < 10_000:  # the write-ahead log has some room left, perhaps
    try:
        append(store, f"full-{written}")
        written += 1
    except StoreUnavailable as error:
        refused = str(error)
full = [batch.id for batch in store.batches(limit=10_000)]
filler.unlink()
append(store, "after")
breaker = store.breakers()[0]
print(json.dumps({
    "refused": refused,
    "written": written,
    "full": full,
    "freed": [batch.id for batch in store.batches(limit=10_000)],
    "numbers": [breaker.version, breaker.generation, breaker.event_sequence, len(store.transitions("feed", 10_000))],
}))
"""


def _in_a_small_file_system(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    enter = next((entry for entry in (["unshare", "-m"], ["unshare", "-Urm"]) if _may(entry)), None)
    if enter is None:
        pytest.skip("no mount namespace may be made here: neither as root nor by unprivileged user namespaces")
    mounted = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = [*enter, "sh", "-c", mounted, "sh", str(folder), sys.executable, code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False)


def _may(enter: list[str]) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*enter, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"], capture_output=True, check=False).returncode == 0


def test_a_full_disk_puts_the_store_out_of_reach_until_there_is_space(tmp_path: Path) -> None:
    done = _in_a_small_file_system(tmp_path, _FILL)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "full" in told["refused"] or "disk I/O error" in told["refused"]
    assert told["refused"].endswith("try again once it answers")
    confirmed = ["before", *(f"full-{number}" for number in range(told["written"]))]
    assert told["full"] == confirmed[::-1]  # readable all the time; what was confirmed is there, and nothing in part
    assert told["freed"] == ["after", *confirmed[::-1]]
    assert told["numbers"] == [len(confirmed) + 1] * 4
