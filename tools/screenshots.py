"""Make the pictures of docs/images: Dagster's UI on the morning of the demo's day 6, and the timeline that the demo prints.

    uv run --extra dev tools/screenshots.py [NAME ...]      # lineage, checks, halted, stale, timeline, chaos; without a name all

Needs `chromium` on the PATH for all but the timeline. Plays the story twice (about a minute).
"""

from __future__ import annotations

import io
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.text import Text

from dagster_contracts.plugin.demo.story import run_demo
from dagster_contracts.plugin.demo.vendor import drop

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=25000",
]
WIDE, SHOWN = 1000, 165  # columns of the terminal that the demo prints to, so that nothing wraps, and of the picture


class Enough(Exception):
    """Day 6 is over."""


def play_to_day_6(folder: Path) -> None:
    """The demo's story until the feed and its consumers have run on day 6: the breaker is open."""

    def stop(event: Mapping[str, object]) -> None:
        if event["day"] == "D7":
            raise Enough

    try:
        run_demo(folder, None, stop)
    except Enough:
        return
    raise RuntimeError("the story ended before day 7")


# --- Dagster's UI --------------------------------------------------------------------------------------------------


@contextmanager
def webserver(home: Path) -> Iterator[str]:
    """The url of a dagster-webserver on the example code location, without sensors: nothing moves while pictures are taken."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("dagster-webserver"), "-w", ROOT / "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    environment.pop("CONTRACTS_DATABASE_URL", None)
    with open(home / "webserver.log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/server_info", server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(120):
        if server.poll() is not None:
            raise RuntimeError(f"dagster-webserver ended with {server.returncode}")
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  # our own server
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
        else:
            return
    raise RuntimeError("dagster-webserver does not answer")


def halted_run(home: Path) -> str:
    """The run of the consumers alone, in which fraud_scores was halted."""
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs(filters=dg.RunsFilter(job_name="scores"))
    return runs[0].run_id


def ui_pages(home: Path) -> dict[str, tuple[str, int, int]]:
    """Name of a picture -> path in the UI, width, height."""
    return {
        "lineage": ("/asset-groups", 1500, 840),
        "checks": ("/assets/credit_bureau?view=checks&checkDetail=contract_semantics", 1500, 920),
        "halted": (f"/runs/{halted_run(home)}?logs=type%3ASTEP_FAILURE", 1500, 640),
        "stale": ("/assets/marketing_scores?partition=2026-06-06&view=partitions", 1500, 1130),
    }


def photograph(url: str, picture: Path, width: int, height: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        shot = Path(profile) / "shot.png"
        options = [f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={shot}"]
        subprocess.run([*CHROMIUM, *options, url], check=True, capture_output=True, timeout=180)
        picture.write_bytes(compressed(shot.read_bytes()))
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB")


def compressed(png: bytes) -> bytes:
    """The same picture in fewer bytes: Chromium compresses in a hurry."""
    chunks: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    data = zlib.compress(zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT")), 9)
    kept = [chunk for chunk in chunks if chunk[0] in (b"IHDR", b"PLTE", b"tRNS")]
    written = [*kept, (b"IDAT", data), (b"IEND", b"")]
    body = (struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)) for kind, content in written)
    return png[:8] + b"".join(body)


def photograph_ui(wanted: Callable[[str], bool]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "demo"
        play_to_day_6(home)
        with webserver(home) as url:
            for name, (path, width, height) in ui_pages(home).items():
                if wanted(name):
                    photograph(url + path, IMAGES / f"{name}.png", width, height)


# --- the chaos report ----------------------------------------------------------------------------------------------


def photograph_chaos() -> None:
    """What `dagster-contracts chaos --format html` makes of the demo's contract and twenty days of its feed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for number in range(1, 21):
            drop(Path(folder), f"2026-01-{number:02}")
        report = Path(folder) / "report.html"
        contract, data = ROOT / "contracts" / "credit_bureau.odcs.yaml", Path(folder) / "vendor"
        told = ["--data", data, "--no-thresholds", "--format", "html", "--output", report]
        command = [Path(sys.executable).with_name("dagster-contracts"), "chaos", contract, *told]
        subprocess.run(command, check=True, cwd=folder, capture_output=True)
        photograph(report.as_uri(), IMAGES / "chaos.png", 1000, 1560)


# --- the terminal --------------------------------------------------------------------------------------------------


def photograph_timeline() -> None:
    """What `dagster-contracts demo` prints from day 6 on. Each line is cut where the picture ends; nothing else is left out."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        shown = in_terminal(["dagster-contracts", "demo", "--directory", str(Path(folder) / "demo")])
        lines = [Text.from_ansi(line) for line in shown.replace("\r\n", "\n").splitlines()]
        first = next(number for number, line in enumerate(lines) if line.plain.startswith("D6 "))
        last = next(number for number, line in enumerate(lines) if line.plain.startswith("See it in Dagster"))
    picture = IMAGES / "timeline.svg"
    picture.write_text(as_svg(lines[first:last]))
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB")


def in_terminal(command: list[str]) -> str:
    """What a command prints on a terminal of WIDE columns, colours included."""
    import pty

    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDE), "LINES": "50", "TERM": "xterm-256color"}
    command[0] = str(Path(sys.executable).with_name(command[0]))
    running = subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, env=environment)
    os.close(follower)
    told = b""
    try:
        while chunk := os.read(leader, 65536):
            told += chunk
    except OSError:  # how Linux says that nobody writes any more
        pass
    if running.wait() != 0:
        raise RuntimeError(f"{command} ended with {running.returncode}")
    return told.decode()


def as_svg(lines: list[Text]) -> str:
    console = Console(record=True, width=SHOWN, file=io.StringIO(), force_terminal=True)
    for line in lines:
        line.rstrip()
        line.truncate(SHOWN, overflow="ellipsis")
        console.print(line)
    svg = console.export_svg(title="dagster-contracts demo", unique_id="timeline")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # nothing is fetched: the reader's own monospace font will do


def main() -> None:
    names = sys.argv[1:]
    IMAGES.mkdir(parents=True, exist_ok=True)
    if not names or {*names} - {"timeline", "chaos"}:
        photograph_ui(lambda name: not names or name in names)
    if not names or "timeline" in names:
        photograph_timeline()
    if not names or "chaos" in names:
        photograph_chaos()


if __name__ == "__main__":
    main()
