"""What calibrated thresholds are worth on the half of a feed that they have not seen.

    python benchmarks/calibration.py [FEED ...] [--budget N] [--infer] [--markdown docs/benchmarks-calibration.md]

Each feed of ../shared/cases/data is put in the order of its partitions. On the earlier half, without its labels, a contract is inferred
(or taken from ../shared/cases/contracts where there is one; with --infer never) and calibrated. The later half is then judged by it,
each batch after what was accepted before it. Told are the labelled incidents that are caught, and every other batch on which a rule trips.

A trip is a batch that a rule refuses which did not refuse the batch before: while something goes on, it is one trip. A label is caught
where one of its partitions is refused by such a rule. Of what reading a file takes away (byte order marks, line ends) no rule can speak.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from dagster_contracts.calibration.calibrate import Calibration, calibrate
from dagster_contracts.calibration.choosing import Step
from dagster_contracts.calibration.observed import key_of
from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.bounds import LEAST
from dagster_contracts.chaos.deliveries import deliveries
from dagster_contracts.chaos.history import Known, judged
from dagster_contracts.chaos.infer import infer
from dagster_contracts.chaos.remedy import Case
from dagster_contracts.cli.tables import tables
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.wording import counted
from dagster_contracts.engines.local import default_engine
from dagster_contracts.store.memory import MemoryStore

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
NOTES = Path(__file__).with_name("calibration-notes.json")
SPEECHLESS = {
    "encoding": "reading the file takes it away",
    "monotonic": "no rule compares a row with the same row of the batch before",
}


@dataclass(frozen=True)
class Label:
    partitions: tuple[str, ...]
    kind: str
    reason: str = ""  # why no rule can speak of it


@dataclass(frozen=True)
class Trip:
    partition: str
    rules: tuple[str, ...]
    lasts: int  # batches


@dataclass(frozen=True)
class Result:
    feed: str
    contract: str  # given or inferred
    learned: int
    judged: int
    labels: tuple[Label, ...]
    caught: Mapping[int, tuple[str, ...]]  # label -> rules
    trips: tuple[Trip, ...]
    unlabelled: int
    refused: int
    changed: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    seconds: float = 0.0

    @property
    def told(self) -> list[int]:
        """The labels that a rule can speak of."""
        return [at for at, label in enumerate(self.labels) if not label.reason]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("feeds", nargs="*", metavar="FEED")
    parser.add_argument("--budget", type=float, default=1.0)
    parser.add_argument("--infer", action="store_true")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    if not CASES.is_dir():
        sys.exit(f"skipped: {CASES} is not there; it holds the real feeds")
    names = given.feeds or sorted(folder.name for folder in (CASES / "data").iterdir() if folder.is_dir())
    results = []
    for name in names:
        results.append(measure(name, given.budget, inferred=given.infer))
        print("\n".join(lines(results[-1])), flush=True)
    print(total(results))
    if given.markdown is not None:
        given.markdown.write_text(page(results, given.budget), encoding="utf-8")


# --- one feed ------------------------------------------------------------------------------------------------------


def measure(name: str, budget: float, *, inferred: bool) -> Result:
    began = time.monotonic()
    frames = [(file, frame) for file, frame in tables([str(CASES / "data" / name)]) if frame.height]
    half = len(frames) // 2
    file = CASES / "contracts" / f"{name}.odcs.yaml"
    given = file.is_file() and not inferred
    text = file.read_text(encoding="utf-8") if given else infer(name, frames[:half], default_engine())
    case = case_of(text, frames[:half])
    note, found = "", None
    if half < LEAST:
        note = f"{half} batches are too few to calibrate (at least {LEAST}): the contract is judged as it is"
    else:
        found = calibrate(case, lambda clock: MemoryStore(clock=clock), budget=budget)
    after = case_of(found.text if found is not None else text, frames)
    known = judged(after.plan([]), after.engine, after.batches)[half:]
    keys = [key_of(each.batch) for each in known]
    labels = tuple(labels_of(name, keys))
    new = fresh(known)
    caught = {
        at: rules for at, label in enumerate(labels) if (rules := tuple(sorted({r for k in label.partitions for r in new.get(k, ())})))
    }
    bad = {key for label in labels for key in label.partitions}
    trips = tuple(Trip(key, rules, lasting(known, key, rules)) for key, rules in new.items() if key not in bad)
    return Result(
        feed=name,
        contract="given" if given else "inferred",
        learned=half,
        judged=len(known),
        labels=labels,
        caught=caught,
        trips=trips,
        unlabelled=len(set(keys) - bad),
        refused=sum(each.verdict.outcome is Outcome.FAIL for each in known),
        changed=steps(found),
        note=note,
        seconds=time.monotonic() - began,
    )


def case_of(text: str, frames: Sequence[tuple[str, pl.DataFrame]]) -> Case:
    case = Case(text, parse(text).objects[0].name, (), default_engine(), arrivals_known=False)
    batches: list[Batch] = deliveries(case.plan([]), case.engine, frames)
    return replace(case, batches=batches)


def steps(found: Calibration | None) -> dict[str, int]:
    return {} if found is None else {step.value: sum(each.step is step for each in found.choices) for step in Step}


def fresh(known: Sequence[Known]) -> dict[str, tuple[str, ...]]:
    """Batches that are refused by a rule that did not refuse the one before, with those rules."""
    found: dict[str, tuple[str, ...]] = {}
    before: frozenset[str] = frozenset()
    for each in known:
        rules = each.verdict.failed_rules
        if rules - before:
            found[key_of(each.batch)] = tuple(sorted(rules - before))
        before = rules
    return found


def lasting(known: Sequence[Known], key: str, rules: Sequence[str]) -> int:
    """How many batches in a row one of the rules refuses."""
    start = next(at for at, each in enumerate(known) if key_of(each.batch) == key)
    after = (at for at in range(start, len(known)) if not known[at].verdict.failed_rules & set(rules))
    return next(after, len(known)) - start


# --- labels --------------------------------------------------------------------------------------------------------


def labels_of(name: str, keys: Sequence[str]) -> Iterator[Label]:
    """Those with a partition among `keys`. A label of all partitions is of no point in time, and left out."""
    for entry in json.loads((CASES / "drift_labels.json").read_text(encoding="utf-8")):
        if entry["dataset"] != name or entry["partition"] == "all":
            continue
        wanted = [key for key in keys if any(low <= key <= high for low, high in spans(entry["partition"]))]
        if wanted:
            yield Label(tuple(wanted), entry["kind"], SPEECHLESS.get(entry["kind"], ""))


def spans(text: str) -> list[tuple[str, str]]:
    """ "2020-12-17/18" and "2007-06..08, 2007-12..2008-02": a part that is short goes on as the one before began."""
    found: list[tuple[str, str]] = []
    whole = ""
    for part in re.split(r"[,/]\s*", text):
        low, dots, high = part.partition("..")
        low = whole[: len(whole) - len(low)] + low if whole else low
        high = low[: len(low) - len(high)] + high if dots else low
        found.append((low, high))
        whole = low
    return found


# --- told ----------------------------------------------------------------------------------------------------------


def notes() -> Mapping[str, Mapping[str, str]]:
    return json.loads(NOTES.read_text(encoding="utf-8")) if NOTES.is_file() else {}


def lines(result: Result) -> Iterator[str]:
    yield (
        f"{result.feed} ({result.contract}): {result.learned} learned from, {result.judged} judged; {_caught(result)} labels, "
        f"{len(result.trips)} trips on {result.unlabelled} others, {result.refused} refused, {dict(result.changed)}, {result.seconds:.0f} s"
    )
    if result.note:
        yield f"    {result.note}"
    for at, label in enumerate(result.labels):
        yield f"    label {label.partitions[0]} {label.kind}: {', '.join(result.caught.get(at, ())) or label.reason or 'MISSED'}"
    for trip in result.trips:
        yield f"    trip {trip.partition}: {', '.join(trip.rules)} ({trip.lasts} batches)"


def _caught(result: Result) -> str:
    return f"{sum(at in result.caught for at in result.told)} of {len(result.told)}"


def total(results: Sequence[Result]) -> str:
    told, caught = sum(len(each.told) for each in results), sum(at in each.caught for each in results for at in each.told)
    trips, others = sum(len(each.trips) for each in results), sum(each.unlabelled for each in results)
    tripped = f"{counted(trips, 'trip')} on {others} unlabelled batches"
    return f"{caught} of {told} labelled incidents that a rule can speak of are caught; {tripped}"


def page(results: Sequence[Result], budget: float) -> str:
    known = notes()
    rows, labels, trips = [], [], []
    for each in results:
        rules = ", ".join(f"{count} {word}" for word, count in each.changed.items()) or each.note
        others = f"{len(each.trips)} of {each.unlabelled}"
        rows.append(_row(each.feed, each.contract, each.learned, each.judged, _caught(each), others, each.refused, rules))
        for at, label in enumerate(each.labels):
            by = _rules(each.caught.get(at, ())) if not label.reason else label.reason
            labels.append(_row(each.feed, label.partitions[0], label.kind, by or "**missed**"))
        for trip in each.trips:
            what = known.get(each.feed, {}).get(trip.partition, "not looked at")
            trips.append(_row(each.feed, trip.partition, _rules(trip.rules), trip.lasts, what))
    tables = ("\n".join(part) for part in (rows, labels, trips or [_row("none", "", "", "", "")]))
    return _PAGE.format(f"{budget:g}", f"{total(results)}. {_looked_at(results)}", *tables)


def _looked_at(results: Sequence[Result]) -> str:
    known = notes()
    told = [known.get(each.feed, {}).get(trip.partition, "").partition(":")[0] for each in results for trip in each.trips]
    real, false = told.count("real"), told.count("false")
    others = sum(each.unlabelled for each in results)
    found = f"Looked at one by one, these are {counted(real, 'real change')} without a label and {counted(false, 'false alarm')}"
    rates = f": {100 * len(told) / others:.1f} trips in 100 batches, {100 * false / others:.1f} of them false" if others else ""
    left = f"; {len(told) - real - false} were not looked at" if len(told) - real - false else ""
    return f"{found}{rates}{left}"


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _rules(rules: Sequence[str]) -> str:
    return ", ".join(f"`{rule}`" for rule in rules[:4]) + (f" and {len(rules) - 4} more" if len(rules) > 4 else "")


_PAGE = """\
# Benchmark of calibration

Written by `python benchmarks/calibration.py --markdown docs/benchmarks-calibration.md`. Each feed is public data in the order of its
partitions. On the earlier half, without labels, a contract is inferred (where none was given) and [calibrated](guides/calibrate.md) with a
budget of {} in 100 clean batches refused; the later half is judged by it, each batch after what was accepted before it. Nobody steps in:
what is refused stays refused, and is no reference for what comes. A trip is a batch that a rule refuses which did not refuse the batch
before. A
label is caught where a trip begins on one of its partitions, whatever the rule. Contracts that were given (not inferred) are by authors who
may have known the data; what their own rules catch, calibration only had to keep.

**{}.**

| feed | contract | learned from | judged | labels caught | trips on others | refused | rules |
|---|---|---|---|---|---|---|---|
{}

The goals were 80 of 100 labels and 1 trip in 100 other batches. A trip that is real and has no label counts against the second: wider
bounds would lower it by not telling of such changes. Labels of all partitions are of no point in time, and left out. Half a feed
is often little: what has 4 to 18 batches in it tells little of what comes.

## Labelled incidents in the later halves

| feed | partition | kind | caught by |
|---|---|---|---|
{}

## Trips on batches without a label

| feed | partition | rules | batches in a row | what it is |
|---|---|---|---|---|
{}
"""


if __name__ == "__main__":
    main()
