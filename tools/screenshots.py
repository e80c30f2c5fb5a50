"""Make the pictures of docs/images: Dagster's UI on the morning of the demo's day 6, and the timeline that the demo prints.

    uv run --extra dev tools/screenshots.py [--played=FOLDER] [NAME ...]

Names are lineage, asset, breaker, checks, plots, halted, stale, jobs, launchpad, automation, drill, click, chaos, backtest and timeline;
without one all of them are made. Needs `chromium` and `chromedriver` on the PATH for all but the timeline. Plays the story twice (about a
minute); `--played` takes the folder of one that was played to day 6 before.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from PIL import Image
from rich.console import Console
from rich.text import Text

from dagster_contracts.plugin.demo.story import run_demo
from dagster_contracts.plugin.demo.vendor import drop

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tools.webdriver import Browser, browser  # noqa: E402

IMAGES = ROOT / "docs" / "images"
AT_ONCE = "run_coordinator:\n  module: dagster.core.run_coordinator\n  class: DefaultRunCoordinator\n"
SETTLED = 3.0  # seconds that a drawn page is left alone: panels unfold
COLOURS, LARGEST = (128, 64, 32), 150_000  # of a picture, as many as it may have to be no larger than so many bytes
DRAWN = "//*[text()='portfolio_report'][not(//*[contains(text(), 'Loading')])]"
NOT_REQUESTED, NEWEST = "//*[text()='Not requested']", "//*[contains(text(), ' AM') or contains(text(), ' PM')]"
EVENTS, PLOTS = "//button[contains(., 'Events')]", "//button[contains(., 'Plots')]"
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
    """The url of a dagster-webserver on the example code location, without a daemon: nothing moves while pictures are taken, but runs that
    are launched on its pages start at once."""
    settings = home / "dagster.yaml"
    known = settings.read_text() if settings.exists() else ""
    if "run_coordinator" not in known:
        settings.write_text(known + AT_ONCE)
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
    for _ in range(600):
        if server.poll() is not None:
            raise RuntimeError(f"dagster-webserver ended with {server.returncode}")
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  # our own server
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
        else:
            return
    raise RuntimeError("dagster-webserver does not answer")


def halted_run(home: Path, job: str = "scores") -> str | None:
    """The newest run of a job; of "scores", the consumers alone, in which fraud_scores was halted."""
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs(filters=dg.RunsFilter(job_name=job), limit=1)
    return runs[0].run_id if runs else None


@dataclass(frozen=True)
class Page:
    """A picture of a page of the UI: `shown` is an XPath of what is there once the page is drawn; `clicks` are made before it."""

    path: str
    width: int
    height: int
    shown: str
    clicks: tuple[str, ...] = ()


def ui_pages(home: Path) -> dict[str, Page]:
    """By the name of the picture."""
    return {
        "lineage": Page("/locations/lending/asset-groups/lending/lineage", 1500, 980, DRAWN),
        "asset": Page("/assets/credit_bureau?view=overview", 1500, 1500, "//*[text()='contracts/outcome']"),
        "breaker": Page("/assets/credit_bureau?view=checks&checkDetail=contract_breaker", 1500, 1300, "//*[text()='is_open']"),
        "checks": Page("/assets/credit_bureau?view=checks&checkDetail=contract_semantics", 1680, 1560, "//*[text()='failing']"),
        "plots": Page("/assets/credit_bureau?view=overview", 1500, 1700, "//*[text()='contracts/rules_failed']", (PLOTS, EVENTS)),
        "halted": Page(f"/runs/{halted_run(home)}?logs=type%3ASTEP_FAILURE", 1500, 830, "//*[contains(text(), 'Halted: ')]"),
        "stale": Page("/assets/marketing_scores?view=overview", 1500, 1250, "//*[text()='contracts/why']"),
        "jobs": Page("/jobs", 1500, 700, "//*[text()='contracts_release']"),
        "launchpad": Page("/locations/lending/jobs/contracts_probe/playground", 1500, 950, "//button[contains(., 'Launch')]"),
        "automation": Page("/assets/marketing_scores?view=automation", 1500, 1000, NOT_REQUESTED, (NEWEST,)),
        "drill": Page("/assets/contracts_drill/credit_bureau?view=overview", 1500, 1300, "//*[text()='contracts/score']", (PLOTS,)),
    }


def photograph(browser: Browser, url: str, page: Page, picture: Path) -> None:
    browser.resize(page.width, page.height)
    browser.open(url + page.path)
    browser.find(page.shown, seconds=180)
    time.sleep(SETTLED)  # a click on a page that still loads is lost
    for each in page.clicks:
        browser.click(each)
        time.sleep(SETTLED)
    picture.write_bytes(compressed(browser.screenshot()))
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB", flush=True)


def evaluate_conditions(home: Path) -> None:
    """What Dagster's daemon would do on the morning of day 6, at two ticks: the pages show the second."""
    with lending(home) as (defs, instance):
        cursor = None
        for number, hour in enumerate((5, 7), 1):
            moment = datetime(2026, 6, 7, hour, tzinfo=UTC)
            done = dg.evaluate_automation_conditions(defs, instance, evaluation_time=moment, cursor=cursor)
            cursor = done.cursor
            found = [each.serializable_evaluation.with_run_ids(set()) for each in done.results]
            assert instance.schedule_storage is not None
            instance.schedule_storage.add_auto_materialize_asset_evaluations(number, found)


def drill(home: Path) -> None:
    """Three drills: the trend has three points."""
    with lending(home) as (defs, instance):
        for seed in (1, 2, 3):
            job = defs.resolve_job_def("contracts_drill")
            job.execute_in_process(instance=instance, run_config={"ops": {"drill_contracts": {"config": {"seed": seed}}}})


@contextmanager
def lending(home: Path) -> Iterator[tuple[dg.Definitions, dg.DagsterInstance]]:
    """The example code location, on the instance of a demo."""
    os.environ["DAGSTER_HOME"] = str(home)
    from definitions import defs

    with dg.DagsterInstance.get() as instance:
        yield defs, instance


def materialize(browser: Browser, url: str, asset: str, partition: str) -> None:
    """What a person does: open the asset's page, click Materialize, choose the partition, and launch."""
    browser.open(f"{url}/assets/{asset}?view=overview")
    browser.find("//*[text()='Compute details']", seconds=180)
    time.sleep(SETTLED)  # a click on a page that still loads is lost
    browser.click("//button[contains(., 'Materialize')]")
    browser.write("//input[contains(@placeholder, 'ex: ')]", partition)
    browser.click("//button[contains(., 'Launch') and not(@disabled)]")


def photograph_click(browser: Browser, home: Path, url: str, picture: Path) -> None:
    """The run that a click on Materialize has started, halted."""
    known = halted_run(home, "__ASSET_JOB")
    browser.resize(1500, 830)
    materialize(browser, url, "fraud_scores", "2026-06-06")
    for _ in range(300):
        if (run := halted_run(home, "__ASSET_JOB")) != known:
            break
        time.sleep(1)
    else:
        raise RuntimeError("the click has started no run")
    page = Page(f"/runs/{run}?logs=type%3ASTEP_FAILURE", 1500, 830, "//*[contains(text(), 'Halted: ')]")
    photograph(browser, url, page, picture)


def compressed(png: bytes) -> bytes:
    """The same picture in fewer bytes."""
    with Image.open(io.BytesIO(png)) as picture:
        found = [_of_colours(picture, count) for count in COLOURS]
    return next((each for each in found if len(each) <= LARGEST), found[-1])


def _of_colours(picture: Image.Image, count: int) -> bytes:
    small = io.BytesIO()
    few = picture.convert("RGB").quantize(count, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(small, "PNG", optimize=True)
    return small.getvalue()


def photograph_ui(wanted: Callable[[str], bool], played: Path | None) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = played or Path(folder) / "demo"
        if played is None:
            play_to_day_6(home)
        if wanted("automation"):
            evaluate_conditions(home)
        if wanted("drill"):
            drill(home)
        with webserver(home) as url, browser() as opened:
            for name, page in ui_pages(home).items():
                if wanted(name):
                    photograph(opened, url, page, IMAGES / f"{name}.png")
            if wanted("click"):
                photograph_click(opened, home, url, IMAGES / "click.png")


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
        with browser() as opened:
            photograph(opened, "", Page(report.as_uri(), 1000, 1650, "//body"), IMAGES / "chaos.png")


# --- the page of a backtest ----------------------------------------------------------------------------------------


def photograph_backtest() -> None:
    """What `dagster-contracts backtest --format html` makes of the example of its guide."""
    page = (ROOT / "docs" / "guides" / "calibrate.md").read_text()
    data = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert data is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for name, text in re.findall(r'^```yaml title="([^"]*)"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL):
            (Path(folder) / name).write_text(text)
        subprocess.run([sys.executable, "-c", data[1]], check=True, cwd=folder)
        told = ["--history", "history", "--incidents", "incidents.yaml", "--format", "html", "--output", "page.html"]
        command = [Path(sys.executable).with_name("dagster-contracts"), "backtest", "stricter.odcs.yaml", *told]
        subprocess.run(command, check=True, cwd=folder, capture_output=True)
        with browser() as opened:
            photograph(opened, "", Page((Path(folder) / "page.html").as_uri(), 900, 1000, "//body"), IMAGES / "backtest.png")


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
    played = next((Path(word.removeprefix("--played=")) for word in sys.argv[1:] if word.startswith("--played=")), None)
    names = [word for word in sys.argv[1:] if not word.startswith("--")]
    IMAGES.mkdir(parents=True, exist_ok=True)
    if not names or {*names} - {"timeline", "chaos", "backtest"}:
        photograph_ui(lambda name: not names or name in names, played)
    if not names or "timeline" in names:
        photograph_timeline()
    if not names or "chaos" in names:
        photograph_chaos()
    if not names or "backtest" in names:
        photograph_backtest()


if __name__ == "__main__":
    main()
