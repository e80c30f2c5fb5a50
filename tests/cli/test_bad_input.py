"""Whatever is wrong: one message that says what and where, the right exit code, nothing on stdout, nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_contracts.store.upgrade import REQUIRED_REVISION
from tests.cli.conftest import CONTRACT, GOOD, Ran

ESCAPES = "\\e[2J\\e]0;owned\\a\\u202E\\u009B31m"  # as YAML writes them


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('id: "a" b', 1, "not readable as YAML"),
        ("", 1, "the file is empty"),
        ("- 1\n- 2\n", 1, "expected an ODCS document"),
        (
            "a: &a [x]\n" + "".join(f"{c}: &{c} [{', '.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefg", "bcdefgh", strict=True)),
            6,
            "aliases expand",
        ),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "is not allowed"),
        (CONTRACT.replace("required:", "requird:"), 14, 'did you mean "required"?'),
        (CONTRACT.replace("cooldown:", "cooldwn:"), 28, 'did you mean "cooldown"?'),
        (CONTRACT.replace("            mustBe: 0\n", ""), 19, "operator"),
        (CONTRACT.replace("name: risk_indicator", "name: customer_id"), 16, "customer_id"),
        (CONTRACT.replace("v3.1.0", "v9.0.0"), 1, "v9.0.0"),
    ],
    ids=["broken", "empty", "no mapping", "aliases", "tag", "typo", "typo in the policy", "no operator", "duplicate column", "version"],
)
def test_a_bad_contract_is_told_with_file_line_and_what_to_do(
    run: Callable[..., Ran], tmp_path: Path, good: Path, text: str, line: int, said: str
):
    file = tmp_path / "feed.odcs.yaml"
    file.write_text(text)
    linted = run("lint", file)
    assert linted.code == 1
    assert f"{file}:{line}: " in linted.out
    assert said in linted.out
    tested = run("test", file, "--data", good)
    assert (tested.code, tested.out) == (2, "")
    assert tested.err.startswith("error: ")
    assert f"{file}:{line}:" in tested.err
    assert said in tested.err


def test_a_large_contract_is_not_read(run: Callable[..., Ran], tmp_path: Path):
    file = tmp_path / "large.yaml"
    file.write_text("#" * 5_000_001)
    ran = run("lint", file)
    assert ran.code == 1
    assert "5,000,001 bytes" in ran.out


@pytest.mark.parametrize("command", [["lint", "nowhere"], ["test", "nowhere", "--data", "good.csv"]])
def test_a_path_that_does_not_exist(run: Callable[..., Ran], command: list[str]):
    ran = run(*command)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: no such file or folder: nowhere")


def test_a_folder_without_a_contract(run: Callable[..., Ran], tmp_path: Path):
    ran = run("lint", tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "no contract found in the folder" in ran.err


def test_a_file_without_permission(run: Callable[..., Ran], contract: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # a mode of 000 would not keep root from reading
    ran = run("lint", contract)
    assert ran.code == 1
    assert f"{contract}: the file cannot be read: Permission denied" in ran.out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.csv", None, "no such file"),
        ("data.xlsx", b"PK", "is not read; expected one of .csv"),
        ("zero.csv", b"", "the file is empty (0 bytes)"),
        ("torn.parquet", b"PAR1 and then nothing", "cannot be read as parquet"),
        ("torn.jsonl", b'{"customer_id": 1}\n{"customer', "torn.jsonl:2: is not JSON"),
        ("twice.csv", b"customer_id,customer_id\n1,2\n", "names a column more than once"),
        ("wide.csv", "customer_id\n1\n".encode("utf-16"), "NUL bytes"),
    ],
)
def test_data_that_cannot_be_read_is_exit_2(
    run: Callable[..., Ran], contract: Path, tmp_path: Path, name: str, content: bytes | None, said: str
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    ran = run("test", contract, "--data", tmp_path / name, "--format", "json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert name in ran.err
    assert said in ran.err


def test_an_empty_batch_fails(run: Callable[..., Ran], contract: Path, tmp_path: Path):
    (tmp_path / "none.csv").write_text(GOOD.splitlines()[0] + "\n")
    ran = run("test", contract, "--data", tmp_path / "none.csv")
    assert ran.code == 1
    assert "0 rows" in ran.out


# --- databases -----------------------------------------------------------------------------------------------------

READING = [["status"], ["breaker", "show", "k"], ["breaker", "history", "k"], ["batch", "list"], ["batch", "show", "k"]]
WRITING = [["breaker", "reset", "k", "--reason", "x"], ["batch", "discard", "k", "--reason", "x"], ["db", "upgrade"]]


@pytest.mark.parametrize("command", READING + WRITING, ids=" ".join)
def test_an_unreachable_database(run: Callable[..., Ran], command: list[str]):
    ran = run(*command, "--database-url", "postgresql://me:secret@127.0.0.1:1/none")
    assert (ran.code, ran.out) == (2, "")
    assert "127.0.0.1:1" in ran.err
    assert "secret" not in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", READING + WRITING, ids=" ".join)
@pytest.mark.parametrize("url", ["nonsense", "mysql://me:secret@host/db", "postgresql://me:secret@host:port/db", "sqlite://"])
def test_a_wrong_url(run: Callable[..., Ran], command: list[str], url: str):
    ran = run(*command, "--database-url", url)
    assert (ran.code, ran.out) == (2, "")
    assert "valid forms are" in ran.err
    assert "secret" not in ran.err


def test_no_url_says_how_to_give_one(run: Callable[..., Ran]):
    ran = run("status")
    assert (ran.code, ran.out) == (2, "")
    for way in ("--database-url", "CONTRACTS_DATABASE_URL", "DAGSTER_HOME"):
        assert way in ran.err


def test_a_file_that_is_no_database(run: Callable[..., Ran], tmp_path: Path):
    (tmp_path / "note.db").write_text("this is a text, and long enough to be read as one by anything that looks at it " * 9)
    before = (tmp_path / "note.db").read_bytes()
    for command in (["status"], ["db", "upgrade"]):
        ran = run(*command, "--database-url", f"sqlite:///{tmp_path}/note.db")
        assert (ran.code, ran.out) == (2, "")
        assert "not a database" in ran.err
    assert (tmp_path / "note.db").read_bytes() == before


def test_tables_that_were_never_made(run: Callable[..., Ran], postgres_url: str):
    ran = run("status", "--database-url", postgres_url)
    assert (ran.code, ran.out) == (2, "")
    assert "run `dagster-contracts db upgrade`" in ran.err
    assert run("db", "upgrade", "--database-url", postgres_url).out == f"upgraded from no tables to revision {REQUIRED_REVISION}\n"
    assert run("db", "upgrade", "--database-url", postgres_url).out == f"the tables are at revision {REQUIRED_REVISION} already\n"
    assert run("status", "--database-url", postgres_url).code == 0


def test_writing_to_a_key_that_does_not_exist_creates_nothing(run: Callable[..., Ran], tmp_path: Path):
    url = f"sqlite:///{tmp_path}/new/contracts.db"
    for command in WRITING[:2]:
        assert run(*command, "--database-url", url).code == 2
    assert not (tmp_path / "new").exists()


# --- usage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["statuss"], "No such command 'statuss'"),
        (["status", "--fromat", "json"], "No such option"),
        (["status", "--format", "xml"], "xml"),
        (["lint"], "Missing argument"),
        (["test", "x.yaml"], "Missing option '--data'"),
        (["breaker", "force-open", "k"], "Missing option '--reason'"),
    ],
)
def test_wrong_usage_is_exit_2(run: Callable[..., Ran], command: list[str], said: str):
    ran = run(*command)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_help_and_version(run: Callable[..., Ran]):
    assert "Exit codes:" in run("--help").out
    assert run("--version").out.startswith("dagster-contracts 0.")


def test_a_crash_is_never_read_as_bad_data(run_process: Callable[..., Ran], contract: Path, good: Path, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text("import dagster_contracts.core.judge as j\nj.judge = lambda *a, **k: 1 / 0\n")
    ran = run_process("test", contract, "--data", good, PYTHONPATH=f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}")
    assert (ran.code, ran.out) == (2, "")
    assert "ZeroDivisionError" in ran.err


@pytest.mark.parametrize("told", ["stdout", "stdout and stderr"])
@pytest.mark.parametrize(
    "arguments", ["test {contract} --data {good}", "test {contract} --data {good} --format json", "--help", "lint /none", "lint -x"]
)
def test_a_reader_that_leaves_early_is_no_failure_of_the_data(contract: Path, good: Path, arguments: str, told: str):
    """As of other programs: 128 and the number of SIGPIPE. What is said on stderr alone is no matter of a reader of stdout."""
    program = "import sys; sys.argv[0] = 'x'; from dagster_contracts.cli import main; main()"
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments.format(contract=contract, good=good).split()],
            stdout=closed,
            stderr=closed if told == "stdout and stderr" else subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=False,
        )
    wrong = arguments.startswith("lint") and told == "stdout"
    assert (done.returncode, bool(done.stderr)) == ((2, True) if wrong else (141, False))


def test_nothing_heavy_is_imported_before_a_command_needs_it():
    program = (
        "import sys; import dagster_contracts.cli.app; "
        "print([m for m in ('polars', 'sqlalchemy', 'dagster', 'rich', 'pandas', 'alembic', 'yaml', 'jsonschema') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "[]\n"


# --- hostile text --------------------------------------------------------------------------------------------------


def hostile(text: str) -> bool:
    return any(found in text for found in ("\x1b", "\x07", "\u202e", "\x9b", "\r"))


def test_text_of_a_contract_cannot_drive_the_terminal(run: Callable[..., Ran], tmp_path: Path, bad: Path):
    file = tmp_path / "hostile.odcs.yaml"
    name = f'"[red]x[/red]{ESCAPES}[bold"'
    file.write_text(CONTRACT.replace("id: vendor-feed", f"id: {name}").replace("name: customer_id", f"name: {name}"))
    for arguments in (
        ["lint", file],
        ["lint", file, "--format", "json"],
        ["test", file, "--data", bad],
        ["test", file, "--data", bad, "--object", "x"],
    ):
        ran = run(*arguments)
        assert not hostile(ran.out + ran.err)
        assert "[red]x[/red]" in ran.out + ran.err
    assert r"[red]x[/red]\x1b[2J" in run("lint", file).out


def test_text_of_data_cannot_drive_the_terminal(run: Callable[..., Ran], contract: Path, tmp_path: Path):
    (tmp_path / "data.csv").write_text("customer_id,risk_indicator\n1,[red]\x1b[2J\u202e\x9b\x07[/red]\n2,line\rforged\n")
    for form in ("text", "json"):
        ran = run("test", contract, "--data", tmp_path / "data.csv", "--format", form)
        assert ran.code == 1
        assert not hostile(ran.out + ran.err)
        assert "[red]" in ran.out


def test_a_reason_cannot_forge_a_line_of_the_table(run: Callable[..., Ran], past: str):
    assert run("breaker", "force-open", "vendor/feed", "--reason", "x\nbreaker  other  closed\x1b[2J").code == 0
    out = run("status", "--database-url", past).out
    assert not hostile(out)
    assert sum(line.startswith("breaker ") for line in out.splitlines()) == 1
    assert r"x\nbreaker" in out


def test_no_colour_on_a_pipe_even_when_asked_for(run_process: Callable[..., Ran], contract: Path, bad: Path):
    ran = run_process("test", contract, "--data", bad, TERM="xterm-256color")
    assert "\x1b" not in ran.out + ran.err


def test_a_name_that_the_output_cannot_encode_is_escaped(run_process: Callable[..., Ran], contract: Path, tmp_path: Path):
    (tmp_path / "data.csv").write_text("customer_id,risk_indicator\n1,Zürich→\n", encoding="utf-8")
    ran = run_process("test", contract, "--data", tmp_path / "data.csv", PYTHONIOENCODING="ascii")
    assert ran.code == 1
    assert r"Z\xfcrich\u2192" in ran.out
