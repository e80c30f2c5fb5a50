"""`infer` and `init`: what good data keeps to becomes a contract that it passes and that bad data does not."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import polars as pl
import pytest

from dagster_contracts.chaos.infer import infer
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.odcs import parse
from dagster_contracts.engines.local import default_engine
from dagster_contracts.plugin.operations import ungoverned_assets
from dagster_contracts.plugin.reading import stored_frames
from tests.cli.conftest import Ran
from tests.plugin.lab import dagster_home


def delivery(day: int) -> pl.DataFrame:
    rng = np.random.default_rng(day)
    rows = 300 + int(rng.integers(0, 40))
    hours = rng.integers(0, 24, rows)
    return pl.DataFrame(
        {
            "id": [f"P{day:02d}{number:05d}" for number in range(rows)],
            "currency": rng.choice(["EUR", "USD", "GBP"], rows),
            "amount": rng.gamma(2, 20, rows).round(2),
            "note": [None if lot < 0.3 else f"note {lot:.6f}" for lot in rng.random(rows)],
            "at": [dt.datetime(2026, 3, day, int(hour), tzinfo=dt.UTC) for hour in hours],
        }
    )


def deliveries(folder: Path, days: int) -> Path:
    folder.mkdir()
    for day in range(1, days + 1):
        delivery(day).write_parquet(folder / f"2026-03-{day:02d}.parquet")
    return folder


@pytest.mark.parametrize("days", [1, 8])
def test_good_data_passes_what_was_learned_of_other_good_data_and_changed_data_does_not(
    run: Callable[..., Ran], tmp_path: Path, days: int
) -> None:
    folder, contract = deliveries(tmp_path / "data", days), tmp_path / "payments.odcs.yaml"
    ran = run("infer", str(folder), "--name", "payments", "--output", str(contract))
    assert (ran.code, ran.out) == (0, "")
    assert f"rows in {days} {'batch' if days == 1 else 'batches'}" in ran.err
    assert run("lint", str(contract)).code == 0

    def outcome(frame: pl.DataFrame) -> int:
        frame.write_parquet(tmp_path / "next.parquet")
        return run("test", str(contract), "--data", str(tmp_path / "next.parquet"), "--as-of", "2026-03-21T00:00Z").code

    clean = delivery(20)
    assert outcome(clean) == 0
    changed = {
        "a fifth value": clean.with_columns(pl.col("currency").replace("EUR", "CHF")),
        "epoch milliseconds": clean.with_columns(pl.col("at").dt.epoch("ms")),
        "ids in another form": clean.with_columns("X" + pl.col("id")),
        "a row twice": pl.concat([clean, clean.head(1)]),
        "a column less": clean.drop("amount"),
        "a column more": clean.with_columns(new=1),
        "no currency": clean.with_columns(currency=pl.lit(None, pl.String)),
    }
    if days > 1:
        changed |= {"hardly any rows": clean.head(10), "no notes": clean.with_columns(note=pl.lit(None, pl.String))}
    assert {name for name, frame in changed.items() if outcome(frame) != 1} == set()


def test_it_is_said_that_times_are_not_bounded_and_what_bounds_them(run: Callable[..., Ran], tmp_path: Path) -> None:
    folder, contract = deliveries(tmp_path / "data", 6), tmp_path / "payments.odcs.yaml"
    run("infer", str(folder), "--name", "payments", "--output", str(contract))
    text = contract.read_text()
    assert "# In all 6 batches the values of at lie within the partition that they are of.\n" in text
    latency, query = (line.removeprefix("# ") for line in text.splitlines() if line.startswith("# - {property: lat") or "now()" in line)
    text = text.replace("slaProperties:\n", f"slaProperties:\n{latency}\n", 1).replace("\n  quality:\n", f"\n  quality:\n  {query}\n", 1)
    contract.write_text(text)
    assert run("lint", str(contract)).code == 0

    def outcome(**moved: int) -> int:
        delivery(7).with_columns(pl.col("at") + pl.duration(**moved)).write_parquet(tmp_path / "next.parquet")
        return run("test", str(contract), "--data", str(tmp_path / "next.parquet"), "--as-of", "2026-03-08T03:00Z").code

    assert [outcome(days=0), outcome(days=-400), outcome(days=400_000)] == [0, 1, 1]
    assert "now()" not in infer("payments", [("", delivery(1).drop("at"))], default_engine())


def test_one_value_is_told_as_one() -> None:
    told = "description: 'Learned: the only value of clean batches.'"
    assert told in infer("payments", [("", delivery(1).with_columns(currency=pl.lit("EUR")))], default_engine())


def test_of_few_rows_little_is_said() -> None:
    contract = parse(infer("few", [("", delivery(1).head(4))], default_engine()))
    assert {prop.name for prop in contract.objects[0].properties} <= {"id", "currency", "amount", "note", "at"}
    assert not any(prop.quality for prop in contract.objects[0].properties)


def test_columns_of_which_no_property_is_written_are_named_with_the_reason(run: Callable[..., Ran], tmp_path: Path) -> None:
    """A column that is left out is not checked: the draft says so, and so does the command."""
    folder, contract = tmp_path / "data", tmp_path / "orders.odcs.yaml"
    folder.mkdir()
    for day in range(1, 7):
        rows = [{"id": n, "code": n if n % 2 else f"x{n}", "by_day": day if day % 2 else "x", "none": None} for n in range(30)]
        rows = [row | {"took": {"a": n if n % 2 else "x"}} | ({"late": 1} if day > 2 else {}) for n, row in enumerate(rows)]
        (folder / f"2026-03-0{day}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ran = run("infer", str(folder), "--name", "orders", "--output", str(contract))
    told = contract.read_text().partition("# Left out")[2].partition("\n\n")[0].splitlines()[1:]
    assert sorted(told) == [
        "# - by_day: its values read as number in some batches, as text in others",
        "# - code: its values are of several types (int, str)",
        "# - late: it stands in 4 of 6 batches",
        "# - none: it has no value",
        "# - took: no logicalType says what its values are (dict)",
    ]
    assert "orders: 5 columns left out, of which a comment in the contract says why: " in ran.err
    assert run("lint", str(contract)).code == 0
    assert "Left out" not in infer("payments", [("", delivery(1))], default_engine())


def test_files_of_several_feeds_are_not_learned_as_one_without_a_word(run: Callable[..., Ran], tmp_path: Path) -> None:
    folder = deliveries(tmp_path / "data", 3)
    warning = "warning: 4 of 6 columns stand in some batches only"
    delivery(4).with_columns(more=1).write_parquet(folder / "2026-03-04.parquet")
    assert "warning" not in run("infer", folder, "--name", "payments").err
    delivery(5).select("id", "amount").write_parquet(folder / "2026-03-05.parquet")
    ran = run("infer", folder, "--name", "payments")
    assert ran.code == 0
    assert f"payments: {warning}: are these files of several feeds? Learn a contract from the files of one\n" in ran.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", 'error: --name "": expected the name of the schema object, which is the last part of its asset\'s key\n'),
        (" ", 'error: --name " ": expected the name of the schema object, which is the last part of its asset\'s key\n'),
        ("vendor/feed", "error: --name vendor/feed: a name has no /; for the asset of that key: --name feed --asset vendor/feed\n"),
        ("a b/c d", "error: --name a b/c d: a name has no /; for the asset of that key: --name 'c d' --asset 'a b/c d'\n"),
        ("a/", "error: --name a/: a name has no /\n"),
    ],
)
def test_a_name_that_is_none_is_bad_usage(run: Callable[..., Ran], tmp_path: Path, name: str, told: str) -> None:
    delivery(1).write_parquet(tmp_path / "x.parquet")
    ran = run("infer", tmp_path / "x.parquet", "--name", name)
    assert (ran.code, ran.out, ran.err) == (2, "", told)


def test_the_asset_is_written_where_its_key_ends_otherwise() -> None:
    frames = [("", delivery(1))]
    assert "dagsterAsset" not in infer("feed", frames, default_engine(), asset="vendor/feed")
    assert parse(infer("feed", frames, default_engine(), asset="vendor/payments")).objects[0].asset == "vendor/payments"


def test_nothing_is_written_over_and_nothing_is_learned_of_nothing(run: Callable[..., Ran], tmp_path: Path) -> None:
    folder = deliveries(tmp_path / "data", 1)
    (tmp_path / "there.yaml").write_text("mine")
    ran = run("infer", str(folder), "--name", "payments", "--output", str(tmp_path / "there.yaml"))
    assert ran.code == 2
    assert "is there already" in ran.err
    assert (tmp_path / "there.yaml").read_text() == "mine"
    with pytest.raises(UsageError, match="no row to learn"):
        infer("empty", [("", delivery(1).clear())], default_engine())


def test_a_file_without_rows_and_a_folder_without_files_are_named(run: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "head.csv").write_text("id,amount\n")
    ran = run("infer", tmp_path / "head.csv", "--name", "payments")
    assert (ran.code, ran.out) == (2, "")
    assert "payments: no row to learn a contract from: head.csv has no row" in ran.err
    (tmp_path / "none").mkdir()
    assert f"{tmp_path}/none: no data file there" in run("infer", tmp_path / "none", "--name", "payments").err


PROJECT = """
import dagster as dg
import pandas as pd
from tests.cli.test_infer import delivery

DAYS = dg.DailyPartitionsDefinition("2026-03-01", end_date="2026-03-08")


@dg.asset(partitions_def=DAYS, key_prefix="vendor")
def payments(context) -> pd.DataFrame:
    return delivery(int(context.partition_key[-2:])).to_pandas()


@dg.asset
def revenue() -> float:
    return 1.0


@dg.asset
def never() -> pd.DataFrame: ...


defs = dg.Definitions(assets=[payments, revenue, never])
"""


def test_init_learns_of_what_is_stored(run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "definitions.py").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    space: dict[str, dg.Definitions] = {}
    exec(PROJECT, space)
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dagster_home(tmp_path / "home") as instance:
        for day in range(1, 7):
            partition = f"2026-03-{day:02d}"
            dg.materialize([space["payments"]], partition_key=partition, instance=instance, run_config=quiet)  # type: ignore[list-item]
        dg.materialize([space["revenue"]], instance=instance, run_config=quiet)  # type: ignore[list-item]
        assert [name for name, _ in stored_frames(space["defs"], instance, "vendor/payments", 2)] == ["2026-03-05", "2026-03-06"]
    assert ungoverned_assets(space["defs"], []) == (["never", "revenue", "vendor/payments"], [])

    ran = run("init")
    assert ran.code == 0
    assert ran.out.startswith("1 contract in contracts.")
    assert "never: no contract: it was never materialized on this instance" in ran.err
    assert "revenue: no contract: what is stored is no table, but float" in ran.err
    found = parse((tmp_path / "contracts" / "payments.odcs.yaml").read_text())
    assert "rows in 6 batches" in ran.err
    assert "DEBUG" not in ran.err
    assert [obj.name for obj in found.objects] == ["payments"]
    assert "vendor/payments: contracts/payments.odcs.yaml is there already" in run("init").err
    assert run("init", "--asset", "paymnets").code == 2
    governed = PROJECT + '\nfrom dagster_contracts import with_contracts\ndefs = with_contracts(defs, contracts="contracts")\n'
    (tmp_path / "definitions.py").write_text(governed)
    again = run("init")
    assert "vendor/payments: left out, a contract governs it already" in again.err
    assert "governed already: name that folder" in again.out
    assert "defs = with_contracts(defs" not in again.out
    assert 'no asset "zzz" is made here; assets: never, ' in run("init", "--asset", "zzz").err


MARKED = """
import dagster as dg
import pandas as pd
from tests.cli.test_infer import delivery

DAYS = dg.DailyPartitionsDefinition("2026-03-01", end_date="2026-03-08")


@dg.asset(partitions_def=DAYS)
def scores(context):
    day = int(context.partition_key[-2:])
    tags = {"contracts/confidence": {3: "stale", 5: "low"}.get(day, "full")}
    return dg.Output(delivery(day).to_pandas(), tags=tags)


@dg.asset
def report():
    return dg.Output(delivery(1).to_pandas(), tags={"contracts/confidence": "stale"})


defs = dg.Definitions(assets=[scores, report])
"""


def test_init_learns_nothing_of_what_was_made_from_fallback_data(
    run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "definitions.py").write_text(MARKED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    space: dict[str, dg.Definitions] = {}
    exec(MARKED, space)
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dagster_home(tmp_path / "home") as instance:
        for day in range(2, 7):
            dg.materialize([space["scores"]], partition_key=f"2026-03-{day:02d}", instance=instance, run_config=quiet)  # type: ignore[list-item]
        dg.materialize([space["report"]], instance=instance, run_config=quiet)  # type: ignore[list-item]
        told: list[str] = []
        found = [name for name, _ in stored_frames(space["defs"], instance, "scores", 2, told.append)]
        assert found == ["2026-03-04", "2026-03-06"]
        assert told == ["scores: 1 stored partition is left out: made from fallback data"]
    ran = run("init")
    assert ran.code == 0
    assert "scores: 2 stored partitions are left out: made from fallback data" in ran.err
    assert "rows in 3 batches" in ran.err
    assert "report: no contract: all that is stored of it was made from fallback data" in ran.err
    assert not (tmp_path / "contracts" / "report.odcs.yaml").exists()


def test_a_column_without_any_value_shows_no_type_and_is_not_listed(run: Callable[..., Ran], tmp_path: Path) -> None:
    for day in range(1, 7):
        delivery(day).with_columns(later=pl.lit(None, pl.String)).write_parquet(tmp_path / f"2026-03-{day:02d}.parquet")
    ran = run("infer", str(tmp_path), "--name", "payments", "--output", str(tmp_path / "c.odcs.yaml"))
    assert ran.code == 0
    assert run("lint", str(tmp_path / "c.odcs.yaml")).code == 0
    assert "later" not in {prop.name for prop in parse((tmp_path / "c.odcs.yaml").read_text()).objects[0].properties}


def meters(day: int, **changes: str) -> str:
    """A growing feed as CSV. Some days a meter gives no temperature, and until the fifth day none says its grid."""
    rng = np.random.default_rng(day)
    lines = ["meter,total,temp,grid"]
    for number in range(60):
        row = {
            "meter": f"M{number:03d}",
            "total": f"{100 * 1.35**day * (1 + rng.random()):.2f}",
            "temp": "NA" if day in (2, 7) and number % 9 == 0 else f"{rng.normal(4, 6):.1f}",
            "grid": str(rng.integers(1, 4)) if day > 4 else "",
        }
        lines.append(",".join({**row, **{name: text.format(**row) for name, text in changes.items()}}.values()))
    return "\n".join(lines) + "\n"


def learned_of(run: Callable[..., Ran], folder: Path, batches: list[str]) -> Path:
    folder.mkdir()
    for day, text in enumerate(batches, 1):
        (folder / f"2026-03-{day:02d}.csv").write_text(text)
    contract = folder / "c.odcs.yaml"
    assert run("infer", folder, "--name", "feed", "--output", contract).code == 0
    return contract


def test_columns_that_say_now_and_then_that_there_is_no_value_are_learned(run: Callable[..., Ran], tmp_path: Path) -> None:
    contract = learned_of(run, tmp_path / "data", [meters(day) for day in range(1, 11)])
    (found,) = parse(contract.read_text()).objects
    assert {prop.name: prop.logical_type for prop in found.properties} == {
        "meter": "string", "total": "number", "temp": "string", "grid": "integer",
    }  # fmt: skip
    assert "numbers or NA; where the asset is read with NA as null, this is a number" in contract.read_text()
    (tmp_path / "next.csv").write_text(meters(11))
    assert run("test", contract, "--data", tmp_path / "next.csv").code == 0
    for changed in (
        meters(11, temp="{temp} C"), meters(11, temp="unknown"), meters(11, temp='"1,5"'), meters(11, grid="G{grid}"),
        meters(11).replace("\n", ",1\n").replace("grid,1", "grid,more"),
    ):  # fmt: skip
        (tmp_path / "next.csv").write_text(changed)
        assert run("test", contract, "--data", tmp_path / "next.csv").code == 1


def test_what_is_learned_of_a_csv_holds_of_it_as_pandas_reads_it(run: Callable[..., Ran], tmp_path: Path) -> None:
    """It reads true and false as flags, however they are written, and loses the leading zeros of digits unless told that they are text."""
    rng = np.random.default_rng(1)
    flags, folder = np.array(["True", "FALSE", "false"]), tmp_path / "data"
    days = [
        "id,plz,paid\n" + "".join(f"{n},{rng.integers(0, 100_000):05d},{flags[rng.integers(0, 3)]}\n" for n in range(day, day + 300))
        for day in range(7)
    ]
    contract = learned_of(run, folder, days)
    (found,) = parse(contract.read_text()).objects
    assert {prop.name: prop.logical_type for prop in found.properties} == {"id": "integer", "plz": "string", "paid": "boolean"}
    assert "# Digits with leading zeros in plz: a reader that takes them for numbers loses the zeros" in contract.read_text()
    assert 'dtype={"plz": str}' in contract.read_text()
    pd.read_csv(folder / "2026-03-02.csv", dtype={"plz": str}).to_parquet(tmp_path / "read.parquet")
    for data in (folder / "2026-03-02.csv", tmp_path / "read.parquet"):
        assert run("test", contract, "--data", data).code == 0
    (tmp_path / "next.csv").write_text(days[1].replace("FALSE", "maybe"))
    assert run("test", contract, "--data", tmp_path / "next.csv").code == 1
    typed = pl.DataFrame({"plz": ["01234", "12345"], "n": [1, 2]})
    assert "leading zeros" not in infer("typed", [("", typed)], default_engine())


def test_of_what_grows_the_order_of_magnitude_is_learned(run: Callable[..., Ran], tmp_path: Path) -> None:
    contract = learned_of(run, tmp_path / "data", [meters(day) for day in range(1, 9)])
    assert "name: total.mean\n" not in contract.read_text()
    assert "name: total.mean.magnitude\n" in contract.read_text()

    def warned(text: str) -> bool:
        (tmp_path / "next.csv").write_text(text)
        ran = run("test", contract, "--data", tmp_path / "next.csv")
        assert ran.code == 0
        return ran.out.startswith("warn")

    assert [warned(meters(9)), warned(meters(10))] == [False, False]
    assert [warned(meters(9, total=text)) for text in ("{total}e2", "0", "99999999")] == [True, True, True]


def test_no_bound_of_rows_lets_a_batch_without_rows_pass(run: Callable[..., Ran], tmp_path: Path) -> None:
    """A report of one line a day: few rows are no reason for none."""
    contract = learned_of(run, tmp_path / "data", [f"day,sum\n{day},{10 + day % 3}\n" for day in range(1, 9)])
    for text, code in (("day,sum\n9,12\n", 0), ("day,sum\n", 1)):
        (tmp_path / "next.csv").write_text(text)
        assert run("test", contract, "--data", tmp_path / "next.csv").code == code


def test_a_delivery_that_comes_again_is_told(run: Callable[..., Ran], tmp_path: Path) -> None:
    folder = deliveries(tmp_path / "data", 6)
    run("infer", folder, "--name", "payments", "--output", tmp_path / "c.odcs.yaml")
    assert "no clean batch repeats the one before" in (tmp_path / "c.odcs.yaml").read_text()
