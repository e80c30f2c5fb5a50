"""Take the pictures of docs/images: the demo's timeline, and Dagster's UI on the morning of day 6.

    uv run --extra dev tools/screenshots.py [NAME ...]      # lineage, checks, halted, stale, timeline; without a name all of them

Needs `chromium` on the PATH. Plays the story twice (about a minute), writes nothing but the pictures.
"""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.text import Text

from dagster_contracts.plugin.demo.story import run_demo

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
COLUMNS = 150  # of the terminal in the picture of the timeline


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
        "lineage": ("/asset-groups", 1500, 760),
        "checks": ("/assets/credit_bureau?view=checks&checkDetail=contract_semantics", 1500, 1000),
        "halted": (f"/runs/{halted_run(home)}?selection=fraud_scores", 1500, 900),
        "stale": ("/assets/marketing_scores?partition=2026-06-06&view=partitions", 1500, 1000),
    }


def photograph(url: str, picture: Path, width: int, height: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        shot = Path(profile) / "shot.png"
        options = [f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={shot}"]
        subprocess.run([*CHROMIUM, *options, url], check=True, capture_output=True, timeout=180)
        picture.write_bytes(shot.read_bytes())
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB")


def photograph_ui(wanted: Callable[[str], bool]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "demo"
        play_to_day_6(home)
        with webserver(home) as url:
            for name, (path, width, height) in ui_pages(home).items():
                if wanted(name):
                    photograph(url + path, IMAGES / f"{name}.png", width, height)


# --- the terminal --------------------------------------------------------------------------------------------------


def photograph_timeline() -> None:
    """What `dagster-contracts demo` prints from day 6 on, as a terminal shows it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        shown = in_terminal(["dagster-contracts", "demo", "--directory", str(Path(folder) / "demo")])
        lines = shown.splitlines()
        first = next(number for number, line in enumerate(lines) if re.match(r"(\x1b\[[0-9;]*m)*D6 ", line))
        page = Path(folder) / "timeline.html"
        page.write_text(as_html("\n".join(lines[first:])))
        photograph(page.as_uri(), IMAGES / "timeline.png", 1240, 1500)


def in_terminal(command: list[str]) -> str:
    """What a command prints on a terminal of COLUMNS columns, colours included."""
    import pty

    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm-256color"}
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


def as_html(shown: str) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown.replace("\r\n", "\n")), soft_wrap=True)
    page = "<pre style='font:13px/1.35 DejaVu Sans Mono,Menlo,Consolas,monospace;margin:14px'>{code}</pre>"
    return console.export_html(inline_styles=True, code_format=f"<!doctype html><meta charset=utf-8><body style='margin:0'>{page}")


def main() -> None:
    names = sys.argv[1:]
    IMAGES.mkdir(parents=True, exist_ok=True)
    if names != ["timeline"]:
        photograph_ui(lambda name: not names or name in names)
    if not names or "timeline" in names:
        photograph_timeline()


if __name__ == "__main__":
    main()
