"""What the README and the docs say is what happens: their code runs, their output is compared, their links lead somewhere.

The blocks of one page run in their order, in one empty folder:

    ```yaml title="contracts/x.yaml"    any language: written to that file
    ```python                           executed
    ```sh                               through bash; the last command may say what it ends with: `# exit 1`
    ```sh database="postgres"           the same, with CONTRACTS_DATABASE_URL of an empty PostgreSQL
    ```text  or  ```json                directly after one that ran: what it printed, `...` standing for anything

A block without a language is a drawing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dagster_contracts import routing
from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.policy import read_policy
from tests.prepared import commands
from tests.schemas import SCHEMAS, assert_described

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
SLOW = {ROOT / f"docs/guides/{name}.md" for name in ("behaviour", "chaos", "dbt", "dg", "sql-and-great-expectations")}  # run with `-m soak`
RUN_BY_CI = 2  # the first blocks of the README (tests/test_packaging.py)
ALL = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    attributes: dict[str, str]
    text: str


def blocks(page: Path) -> list[Block]:
    found = re.finditer(r"^```(\w*)(.*)\n((?:.*\n)*?)```$", page.read_text(), re.MULTILINE)
    text = page.read_text()
    return [
        Block(text.count("\n", 0, match.start()) + 1, match[1], dict(re.findall(r'(\w+)="([^"]*)"', match[2])), match[3]) for match in found
    ]


def to_run(page: Path) -> list[Block]:
    return blocks(page)[RUN_BY_CI if page == README else 0 :]


@dataclass
class Reader:
    """Somebody who does what a page says."""

    folder: Path
    environment: dict[str, str]
    printed: str | None = None  # by the block before

    def do(self, block: Block, postgres: Callable[[], str]) -> None:
        if "title" in block.attributes:
            path = self.folder / block.attributes["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language in ("text", "json"):
            assert self.printed is not None, "a text block must follow one that ran; a drawing has no language"
            assert matches(block.text, self.printed), f"expected\n{block.text}\nprinted\n{self.printed}"
        elif block.language == "sh":
            database = {"CONTRACTS_DATABASE_URL": postgres()} if block.attributes.get("database") == "postgres" else {}
            wanted = re.search(r"# exit (\d+)\s*\Z", block.text)
            self.run(["bash", "-euo", "pipefail", "-c", block.text], int(wanted[1]) if wanted else 0, database)
            return
        elif block.language == "python":
            self.execute(block.text)
        else:
            assert not block.language, f"a block of {block.language} needs a title"
        self.printed = None

    def execute(self, code: str) -> None:
        """In this process, where Dagster is imported already; what the code imports from its folder is forgotten afterwards."""
        before = set(sys.modules)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.syspath_prepend(str(self.folder))
            patch.setenv("DAGSTER_HOME", self.environment["DAGSTER_HOME"])
            patch.delenv("CONTRACTS_DATABASE_URL", raising=False)
            try:
                exec(compile(code, "a python block", "exec"), {"__name__": "__main__"})
            finally:
                for name in set(sys.modules) - before:
                    if str(self.folder) in str(getattr(sys.modules[name], "__file__", "")):
                        del sys.modules[name]

    def run(self, command: list[str], code: int, more: dict[str, str]) -> None:
        done = subprocess.run(
            command, cwd=self.folder, env={**self.environment, **more}, capture_output=True, encoding="utf-8", timeout=300, check=False
        )
        assert done.returncode == code, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.printed = done.stdout or done.stderr


def matches(expected: str, printed: str) -> bool:
    """Compared without regard to the width of columns and to empty lines; `...` stands for anything."""
    parts = re.split(r"\s*\.\.\.\s*", squeezed(expected))
    return re.fullmatch(r".*?".join(map(re.escape, parts)), squeezed(printed), re.DOTALL) is not None


def squeezed(text: str) -> str:
    lines = (re.sub(r"─+", "─", " ".join(line.split())) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


@pytest.fixture(scope="session")
def prepared() -> Iterator[Path]:
    """The folder of our commands, which start without importing everything anew."""
    with tempfile.TemporaryDirectory(prefix="cli-") as folder, commands(Path(folder)) as found:
        yield found


@pytest.fixture
def reader(tmp_path: Path, prepared: Path) -> Reader:
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "CONTRACTS", "COLUMNS"))}
    binaries = os.pathsep.join([str(prepared), str(Path(sys.executable).parent), os.environ["PATH"]])
    folder = tmp_path / "project"
    folder.mkdir()
    return Reader(folder, {**kept, "PATH": binaries, "DAGSTER_HOME": str(home), "LOGNAME": "ana", "PYTHONWARNINGS": "ignore"})


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.soak] if page in SLOW else []) for page in PAGES if to_run(page)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_the_blocks_of_a_page_do_what_the_page_says(page: Path, reader: Reader, request: pytest.FixtureRequest):
    for block in to_run(page):
        try:
            reader.do(block, lambda: request.getfixturevalue("postgres_url"))
        except AssertionError as error:
            raise AssertionError(f"{page.relative_to(ROOT)}:{block.line}: {error}") from None


def test_the_definitions_of_the_readme_are_governed(reader: Reader):
    for block in to_run(README):
        if "title" in block.attributes:
            reader.do(block, str)
    reader.execute("""
import dagster as dg
from definitions import defs
dg.Definitions.validate_loadable(defs)
checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
assert checks == {f"contract_{name}" for name in ("schema", "semantics", "completeness", "validity", "volume", "breaker")}, checks
assert {sensor.name for sensor in defs.sensors} == {"contracts_probe", "contracts_heal", "contracts_relay"}
""")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a  b\n", "a      b   \n\n", True),
        ("a ... d\n", "a b\nc d\n", True),
        ("───\n", "─────\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ("a ... d\n", "a b c\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_printed_output_is_compared_with_wildcards(expected: str, printed: str, same: bool):
    assert matches(expected, printed) is same


# --- links ---------------------------------------------------------------------------------------------------------


def links(page: Path) -> Iterator[str]:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them: lower case, no punctuation, a hyphen for each space."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path):
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_and_picture_is_linked_from_another():
    linked = {(page.parent / link.partition("#")[0]).resolve() for page in ALL for link in links(page)}
    wanted = {*PAGES[1:], *(ROOT / "docs").rglob("*.png"), *SCHEMAS.glob("*.json")}
    assert sorted(wanted - linked) == []


def test_pictures_are_small():
    assert [path.name for path in (ROOT / "docs" / "images").iterdir() if path.stat().st_size > 200_000] == []


# --- what the reference lists --------------------------------------------------------------------------------------


def test_the_reference_states_every_key_of_the_policy_with_its_default():
    from dagster_contracts.cli.forms import of_policy

    page = (ROOT / "docs/reference/contract.md").read_text()
    stated = dict(re.findall(r"^\| `([A-Za-z.]+)` \| (`[^`]*`|[^|`]*) \|", page, re.MULTILINE))
    defaults = {name: "" if value in (None, []) else str(value) for name, value in _flat(of_policy(BreakerPolicy()))}
    defaults["tripOn"], defaults["window.minimumBatches"] = "[critical]", "1"
    policy = {name: value.strip("`").replace("none", "") for name, value in stated.items() if name in defaults}
    assert policy == {name: value.removesuffix(".0") for name, value in defaults.items()}


def _flat(form: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in form.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_the_policy_of_the_reference_is_read_without_flaws():
    import yaml

    block = next(b for b in blocks(ROOT / "docs/reference/contract.md") if "circuitBreaker" in b.text)
    (value,) = (entry["value"] for entry in yaml.safe_load(block.text)["customProperties"] if entry["property"] == "circuitBreaker")
    _, flaws = read_policy(value, ())
    assert flaws == []


# --- JSON schemas (that of the demo: tests/plugin/test_demo.py) ------------------------------------------------------


def test_the_page_of_commands_names_the_keys_of_each_schema():
    rows = re.findall(
        r"^\| [^|]*\| ([^|]*)\| \[[^\]]*\]\(\.\./schemas/([^)]*)\)", (ROOT / "docs/reference/cli.md").read_text(), re.MULTILINE
    )
    lacking = {
        name: {*json.loads((SCHEMAS / name).read_text())["required"]} - {"version", *re.findall(r"`(\w+)`", keys)} for keys, name in rows
    }
    assert {name: keys for name, keys in lacking.items() if keys} == {}
    assert len(lacking) > 10


def test_the_schema_of_test_describes_what_it_prints(reader: Reader):
    for block in blocks(ROOT / "docs/guides/adopt.md"):
        if block.attributes.get("title", "").endswith(".odcs.yaml"):
            reader.do(block, str)
    (contract,) = reader.folder.rglob("*.odcs.yaml")
    rule = "      - {type: custom, engine: soda, implementation: none}\n"
    contract.write_text(contract.read_text().replace("    - type: library\n", rule.replace("      ", "    ") + "    - type: library\n", 1))
    (reader.folder / "bad.csv").write_text("payment_id,currency,amount\np1,eur,1\n")
    command = f"dagster-contracts test {contract} --data bad.csv --format json # exit 1"
    reader.do(Block(0, "sh", {}, command), str)
    assert reader.printed is not None
    printed = json.loads(reader.printed)
    assert printed["not_executed"]
    assert any(finding["sample"] for finding in printed["findings"])
    assert_described("test", printed)


def test_the_schema_of_status_describes_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A store with a bad batch, a held one, one that was cut off, consumers that fell back, and an override."""
    from typer.testing import CliRunner

    from dagster_contracts.cli.app import app

    monkeypatch.chdir(tmp_path)  # the repository has a definitions.py, which would publish at once
    url = f"sqlite:///{eventful(tmp_path)}"
    run = CliRunner()
    for command in (
        ["breaker", "force-open", "feed", "--reason", "r", "--until", "PT1H"],
        ["batch", "release", "feed", "--partition", "2", "--reason", "r"],
    ):
        assert run.invoke(app, [*command, "--actor", "ana", "--database-url", url]).exit_code == 0
    printed = json.loads(run.invoke(app, ["status", "--format", "json", "--database-url", url]).stdout)
    empty = [name for name in ("breakers", "held", "quarantined", "publishing", "degraded", "reviews") if not printed[name]]
    assert empty == []
    assert_described("status", printed)


def eventful(folder: Path) -> Path:
    import polars as pl

    from dagster_contracts.core.contract import Confidence, Contract, Property, SchemaObject, attach
    from dagster_contracts.core.ledger import Partition, StepKey
    from dagster_contracts.engines.local import LocalEngine
    from dagster_contracts.gate import Gate
    from dagster_contracts.judgement import Delivery, Terms
    from dagster_contracts.store.sql import SqlStore

    gate = Gate(SqlStore(f"sqlite:///{folder}/contracts.db"), LocalEngine())
    feed = SchemaObject("feed", properties=(Property("kind", enum=("a", "b")),))
    terms = Terms.of(attach([Contract("feed", "1.0.0", "v3.1.0", "active", (feed,))], ["feed"])["feed"])
    for key, kind in (("1", "a"), ("2", "z"), ("3", "b")):
        judgement = gate.judge(terms, Delivery(Partition(key), "run", "run"), pl.DataFrame({"kind": [kind]}))
        if not judgement.publish:
            gate.staged(judgement.batch, "fingerprint")
    for consumer, accepts in (("strict", Confidence.FULL), ("lenient", Confidence.LOW)):
        route = routing.route(gate, StepKey("run", consumer), routing.Input(consumer, "feed", accepts, terms), Partition("2"))
        gate.record_output(consumer, Partition("2"), "run", [route])
    return folder / "contracts.db"
