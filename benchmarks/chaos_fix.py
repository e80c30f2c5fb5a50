"""What `chaos --fix` is worth on batches, faults, seeds and columns that it has not seen.

    python benchmarks/chaos_fix.py demo [--splits 4] [--clean 400]
    python benchmarks/chaos_fix.py feeds FOLDER [--only NAME ...]
    python benchmarks/chaos_fix.py page RESULTS.json ... --write docs/benchmarks-chaos.md

demo: the contract of the demo. Half of the kinds of faults and four of seven columns are seen, in one batch after 29 others; scored are the
other kinds in the other columns, in later batches and with other seeds, before and after. Then `clean` later batches, none of which had a
part in anything: how many does a proposed rule complain of?

feeds: every contract FOLDER/contracts/NAME.odcs.yaml with its feed FOLDER/data/NAME, a folder of CSV files, one a batch, in the order of
their names. Rules that refuse more than a tenth of the batches are left out, and then the batches that are refused still. Rules are learned
from the earlier two thirds, and the later third is held back: how many of its batches do they complain of?

page: of what `feeds`, `chaos.py --json` and `chaos_drill.py` printed. An alarm that somebody looked at is told in chaos-notes.json, by feed
and rule, as "real: ...", "follows: ..." or "false: ...".
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import report
from machine import machine

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.campaign import Campaign, Cell
from dagster_contracts.chaos.fault import Fault
from dagster_contracts.chaos.faults import FAULTS
from dagster_contracts.chaos.history import Known, judged
from dagster_contracts.chaos.propose import propose
from dagster_contracts.chaos.remedy import Case, Remedy
from dagster_contracts.chaos.run import run
from dagster_contracts.chaos.score import Share, share_of
from dagster_contracts.chaos.shape import Shape
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.verdict import ACCEPTED, Outcome
from dagster_contracts.engines.local import default_engine
from dagster_contracts.plugin.demo.vendor import frame

CONTRACT = Path(__file__).parents[1] / "contracts" / "credit_bureau.odcs.yaml"
COLUMNS = 4
ROOM = 5  # batches
NOTES = Path(__file__).with_name("chaos-notes.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    demo = kinds.add_parser("demo")
    demo.add_argument("--splits", type=int, default=4)
    demo.add_argument("--victims", type=int, default=3)
    demo.add_argument("--clean", type=int, default=400)
    demo.add_argument("--learned", type=int, default=30, help="batches that rules are learned from")
    demo.add_argument("--kinds", type=int, default=len(FAULTS), help="kinds of faults, of which half are seen")
    feeds = kinds.add_parser("feeds")
    feeds.add_argument("folder", type=Path)
    feeds.add_argument("--only", action="append", default=[], metavar="NAME")
    page = kinds.add_parser("page")
    page.add_argument("results", nargs="+", type=Path, metavar="RESULTS.json")
    page.add_argument("--write", type=Path, required=True, metavar="PAGE")
    given = parser.parse_args()
    if given.kind == "page":
        given.write.write_text(_page([json.loads(file.read_text(encoding="utf-8")) for file in given.results]), encoding="utf-8")
        return
    if given.kind == "demo":
        results = [_split(number, given.victims, given.clean, given.learned, given.kinds) for number in range(1, given.splits + 1)]
    else:
        results = [_feed(name, contract, folder) for name, contract, folder in _found(given.folder, given.only)]
    print(json.dumps({"name": "chaos_fix", "machine": machine(), "results": results}, indent=2))


# --- the demo's contract -------------------------------------------------------------------------------------------


def days(first: date, count: int) -> list[Batch]:
    found: list[Batch] = []
    for number in range(count):
        day = first + timedelta(days=number)
        arrived = datetime(day.year, day.month, day.day, 6, 10, tzinfo=UTC)
        before = found[-1] if found else None
        found.append(Batch(pl.from_pandas(frame(day)), arrived, name=day.isoformat(), previous=before))
    return found


def _split(number: int, victims: int, clean: int, learned: int, kinds: int) -> dict[str, object]:
    lots = random.Random(number)  # noqa: S311  # the same split each time
    batches = days(date(2026, 1, 1), learned)
    faults = FAULTS if kinds == len(FAULTS) else lots.sample(FAULTS, kinds)
    seen = lots.sample(faults, len(faults) // 2)
    columns = frozenset(lots.sample(batches[-1].columns, COLUMNS))
    case = Case(CONTRACT.read_text(encoding="utf-8"), "credit_bureau", batches, default_engine())
    before = _campaign(case, case.text, batches, [replace(fault, fits=partial(_fits, fault, columns)) for fault in seen], number)
    start = time.perf_counter()
    remedy = propose(case, before, faults=seen)
    seconds = time.perf_counter() - start
    names = {fault.name for fault in seen}

    def unseen(text: str) -> Share:
        cells: list[Cell] = []
        for victim in range(victims):
            later = days(date(2026, 6, 1) + timedelta(days=17 * victim), 4)
            others = [fault for fault in faults if fault.name not in names]
            cells += _campaign(case, text, later, others, 100 * number + victim).cells
        return share_of(cell for cell in cells if cell.column not in columns)

    alarms = _complaints(case, remedy, days(date(2027, 1, 1) + timedelta(days=clean * number), clean + 1)[1:])
    return {
        "split": number,
        "seen": _share(share_of(before.cells)),
        "unseen_before": _share(unseen(case.text)),
        "unseen_after": _share(unseen(remedy.text)),
        "rules": len(remedy.proposals),
        "clean": clean,
        "false_alarms": alarms,
        "seconds_to_propose": round(seconds, 1),
    }


def _fits(fault: Fault, columns: frozenset[str], shape: Shape) -> list[str | None]:
    return [column for column in fault.fits(shape) if column is None or column in columns]


def _campaign(case: Case, text: str, batches: Sequence[Batch], faults: Sequence[Fault], seed: int) -> Campaign:
    contract, _ = case.contract(text)
    return run(replace(case, text=text).plan([]), contract.policy, case.engine, batches, faults=faults, seed=seed)


def _share(share: Share) -> dict[str, object]:
    return {"caught": share.caught, "tried": share.tried, "percent": round(share.percent, 1)}


def _complaints(case: Case, remedy: Remedy, batches: Sequence[Batch]) -> list[dict[str, object]]:
    """Clean batches that a proposed rule complains of."""
    plan = replace(case, text=remedy.text).plan([])
    ours = {rule for proposal in remedy.proposals for rule in proposal.clause.rules}
    found = []
    for known in judged(plan, case.engine, batches)[1:]:
        rules = {each.rule: each.observed for each in known.verdict.findings if each.outcome is not Outcome.PASS and each.rule in ours}
        if rules:
            found.append({"batch": known.batch.name, "rules": rules})
    return found


# --- feeds ---------------------------------------------------------------------------------------------------------


def _found(folder: Path, only: Sequence[str]) -> Iterator[tuple[str, Path, Path]]:
    """Each contract with its feed."""
    for contract in sorted((folder / "contracts").glob("*.odcs.yaml")):
        name = contract.name.partition(".")[0]
        if (folder / "data" / name).is_dir() and (not only or name in only):
            yield name, contract, folder / "data" / name


def _feed(name: str, contract: Path, folder: Path) -> dict[str, Any]:
    begun = time.perf_counter()
    text = contract.read_text(encoding="utf-8")
    case = Case(text, parse(text).objects[0].name, list(_files(folder)), default_engine())
    case = replace(case, left_out=_refusing(judged(case.plan([]), case.engine, case.batches)))
    known = judged(case.plan([]), case.engine, case.batches)
    good = list(_chained([each for each in known if each.verdict.outcome in ACCEPTED]))
    if len(good) <= ROOM:
        return {"feed": name, "rules_left_out": case.left_out, "batches": len(good), "left_out": len(known) - len(good), "held_back": 0}
    learned = max(ROOM, len(good) * 2 // 3)
    earlier, later = good[:learned], good[learned - 1 :]
    case = replace(case, batches=earlier)
    before = _campaign(case, text, earlier, FAULTS, 1)
    remedy = propose(case, before)
    after = _campaign(case, remedy.text, earlier, FAULTS, 2)
    alarms = _complaints(case, remedy, later)
    return {
        "feed": name,
        "rules_left_out": case.left_out,
        "batches": len(case.batches) + len(later) - 1,
        "left_out": len(known) - len(good),
        "before": _share(share_of(before.cells)),
        "after": _share(share_of(after.cells)),
        "rules": len(remedy.proposals),
        "held_back": len(later) - 1,
        "false_alarms": alarms,
        "seconds": round(time.perf_counter() - begun, 1),
    }


def _refusing(known: Sequence[Known]) -> list[str]:
    """Rules that refuse more than a tenth of the batches: it is they that are wrong, and not the feed."""
    found = Counter(
        finding.rule
        for each in known
        for finding in each.verdict.findings
        if finding.severity.refuses and finding.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)
    )
    return sorted(rule for rule, count in found.items() if count > len(known) / 10)


# --- the page ------------------------------------------------------------------------------------------------------


def _page(printed: Sequence[Mapping[str, Any]]) -> str:
    feeds = sorted((each for run in printed if run["name"] == "chaos_fix" for each in run["results"]), key=lambda each: each["feed"])
    timed = [each for run in printed if run["name"] == "chaos" for each in run["results"]]
    alarms = [alarm for feed in feeds for alarm in _alarms(feed)]
    held_back, refused = (sum(count(each) for each in feeds) for count in (lambda e: e["held_back"], lambda e: len(_batches(e))))
    parts = [
        _HEAD.format(f"{refused} of {held_back} held-back batches are complained of{_looked_at(feeds)}"),
        _table(
            "feed | batches | left out | rules left out | score | after | new clauses | complained of", [_feed_row(each) for each in feeds]
        ),
        "## What was complained of",
        _table("feed | rule | batches | first in | observed there | what it is", alarms) if alarms else "Nothing.",
        _TIME.format(report.told(printed[0]["machine"])),
        _table("what | ours | beside | ratio", [_timed(each) for each in timed]),
    ]
    return "\n\n".join(parts) + "\n"


def _table(columns: str, rows: Sequence[Sequence[object]]) -> str:
    lines = [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in (columns, " | ".join("---" for _ in columns.split(" | ")), *lines))


def _batches(feed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return feed["false_alarms"] if feed["held_back"] else []


def _feed_row(feed: Mapping[str, Any]) -> list[object]:
    head = [feed["feed"], feed["batches"], feed["left_out"], len(feed["rules_left_out"])]
    if not feed["held_back"]:
        return [*head, "", "", "", "too few batches to learn from"]
    before, after = (f"{feed[name]['percent']}%" for name in ("before", "after"))
    return [*head, before, after, feed["rules"], f"{len(_batches(feed))} of {feed['held_back']}"]


def _notes(feed: Mapping[str, Any]) -> Mapping[str, str]:
    found: dict[str, dict[str, str]] = json.loads(NOTES.read_text(encoding="utf-8"))
    return found.get(feed["feed"], {})


def _alarms(feed: Mapping[str, Any]) -> Iterator[list[object]]:
    """One row for each rule that complains."""
    for rule in dict.fromkeys(rule for alarm in _batches(feed) for rule in alarm["rules"]):
        those = [alarm for alarm in _batches(feed) if rule in alarm["rules"]]
        told = _notes(feed).get(rule, _UNKNOWN)
        yield [feed["feed"], f"`{rule}`", len(those), those[0]["batch"], those[0]["rules"][rule], told]


def _looked_at(feeds: Sequence[Mapping[str, Any]]) -> str:
    kinds = Counter(_kind(feed, alarm) for feed in feeds for alarm in _batches(feed))
    return "".join(f", {kinds[kind]} {told}" for kind, told in _KINDS.items() if kinds[kind])


def _kind(feed: Mapping[str, Any], alarm: Mapping[str, Any]) -> str:
    """Of a batch that several rules complain of, the one that speaks most against them."""
    found = {_notes(feed).get(rule, _UNKNOWN).partition(":")[0] for rule in alarm["rules"]}
    return next(kind for kind in _KINDS if kind in found)


_UNKNOWN = "not looked at"
_KINDS = {
    "false": "of them falsely",
    _UNKNOWN: "of them not looked at",
    "real": "of them for errors that are really there",
    "follows": "of them since the one before was refused",
}


def _timed(result: Mapping[str, Any]) -> list[object]:
    ours, theirs, unit = result["ours"], result["theirs"], result["unit"]
    beside = result["peer"]
    if theirs is not None:
        beside = f"{'the bound' if beside[:1].isdigit() else beside}: {report.figure(theirs, unit)}"
    return [result["case"], report.figure(ours, unit), beside, "" if result["ratio"] is None else f"{result['ratio']:.3g}x"]


_COLUMNS = "feed | batches | left out | rules left out | score | after | new clauses | complained of"
_HEAD = """\
# Chaos on real feeds, and how long it takes

Public feeds, each under a contract that was written by hand: open data of transport, health and credit, in monthly or daily files. The
score is the mutation score of the contract as it is, and then with what [`chaos --fix`](guides/chaos.md) has learned from the earlier two
thirds of the batches. The later third it has not seen: of how many of those do the proposed rules complain?

Rules of the contract that refuse more than a tenth of the batches are left out, and so are the batches that it refuses still. Written by
[`benchmarks/chaos_fix.py`](../benchmarks/chaos_fix.py), from a folder with `contracts/NAME.odcs.yaml` and `data/NAME/*.csv`.

**{}.**"""

_TIME = """\
## How long it takes

Written by [`benchmarks/chaos.py --json`](../benchmarks/chaos.py) and [`benchmarks/chaos_drill.py`](../benchmarks/chaos_drill.py). A cell
is one fault in one column at one dose: injected, measured, judged, with what the breaker and the consumers make of it. What has not changed
is not measured again; beside it, the same batch judged all anew. Peers judge the batch once by the same 30 rules, and inject nothing.
Thresholds (bisection) and the drill are timed apart.

{}"""


def _files(folder: Path) -> Iterator[Batch]:
    places = sorted(path for path in folder.iterdir() if ".csv" in path.name)
    for number, place in enumerate(places):
        data = pl.read_csv(place, infer_schema_length=None, try_parse_dates=False)
        yield Batch(data, _ended(place.name, number), name=place.name)


def _ended(name: str, number: int) -> datetime:
    """A day after the day or month that a file is named after; where it names none, one file a day."""
    if found := re.search(r"(\d{4})-(\d{2})-(\d{2})", name):
        return datetime(int(found[1]), int(found[2]), int(found[3]), 6, tzinfo=UTC) + timedelta(days=1)
    if found := re.search(r"(\d{4})-(\d{2})", name):
        year, month = divmod(int(found[1]) * 12 + int(found[2]), 12)
        return datetime(year, month + 1, 1, 6, tzinfo=UTC)
    return datetime(2026, 1, 1, 6, tzinfo=UTC) + timedelta(days=number)


def _chained(known: Sequence[Known]) -> Iterator[Batch]:
    """Each with the good one before it."""
    before: Batch | None = None
    for each in known:
        before = replace(each.batch, previous=before)
        yield before


if __name__ == "__main__":
    main()
