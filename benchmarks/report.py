"""What a benchmark found, as lines, JSON and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OF_THE_STORE = "What the store costs (decisions, verdicts, ticks of sensors): [Benchmarks of the store](benchmarks-store.md)."
OF_DAGSTER = "What a gated step costs beside the same step without contracts: [What contracts cost Dagster](dagster-overhead.md)."
ONE_MORE_PASS = "one more pass"
IN_PROPORTION = "growth in proportion"

_WHAT = """\
A table of 19 columns is judged by 30 rules: schema, null shares, allowed values, ranges, uniqueness of one column and of two, a pattern,
row count, freshness, an order of two columns, mean, deviation, median, two drift indices, a length. Ours is the whole verdict: every
rule of `benchmarks/customers.odcs.yaml` measured and judged. The peers are processes of their own, with pinned versions
(`benchmarks/peers`), on the same file, one run of ours and one of theirs in turn; the figures are medians. A ratio above 1 means that we
are ahead. In the failing table 0.1% of the rows break each of 11 rules; nobody collects the rows that fail, except where that is said."""


@dataclass(frozen=True)
class Result:
    """One figure of ours beside one of another's: an engine's, or a bound that we set ourselves."""

    case: str
    peer: str
    ours: float
    theirs: float | None
    unit: str

    @property
    def ratio(self) -> float | None:
        """Above 1 we are ahead."""
        return self.theirs / self.ours if self.theirs is not None and self.ours > 0 else None


@dataclass
class Report:
    """`absent`: engine -> why it was not measured; `wrong`: engine -> rules of which it says something else than is true.

    `versions`: engine -> what it runs on; `unequal`: engine -> rule, kind or form -> how it differs from ours there.
    """

    name: str
    machine: Mapping[str, str | int]
    results: list[Result] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, set[str]] = field(default_factory=dict)
    versions: dict[str, Mapping[str, str]] = field(default_factory=dict)
    unequal: dict[str, Mapping[str, str]] = field(default_factory=dict)


def case(rows: int, form: str, kind: str) -> str:
    return f"{rows:,} rows, {form}, {kind}"


def line(result: Result) -> str:
    ratio = "" if result.ratio is None else f"{result.ratio:6.2f}x"
    theirs = "" if result.theirs is None else f"theirs {figure(result.theirs, result.unit)}"
    return f"{result.case:62} {result.peer:32} ours {figure(result.ours, result.unit):>16}  {theirs:24} {ratio}"


def as_json(found: Report) -> dict[str, Any]:
    results = [
        {"case": each.case, "peer": each.peer, "ours": each.ours, "theirs": each.theirs, "ratio": each.ratio, "unit": each.unit}
        for each in found.results
    ]
    return {
        "name": found.name,
        "machine": dict(found.machine),
        "results": results,
        "absent": found.absent,
        "differs": {name: sorted(rules) for name, rules in found.wrong.items()},
    }


def figure(value: float, unit: str) -> str:
    """In three digits; milliseconds below a second."""
    if unit.startswith("s") and value < 1:
        return f"{value * 1e3:.3g} m{unit}"
    return f"{value:.3g} {unit}"


# --- Markdown ------------------------------------------------------------------------------------------------------


def as_markdown(found: Report) -> str:
    parts = [
        "# Benchmarks",
        "Written by `python benchmarks/engines.py --markdown`; measured, not edited.",
        OF_THE_STORE if (Path(__file__).parents[1] / "docs" / "benchmarks-store.md").exists() else "",
        OF_DAGSTER,
        told(found.machine),
        _WHAT,
        "\n\n".join(_tables(found)),
        "## Where rules are not equal",
        differences(found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def told(ours: Mapping[str, str | int]) -> str:
    """The machine, and the versions of ours and of what it stands on."""
    where = f"{ours['processor']}, {ours['cores']} cores, {ours['memory_gb']} GB, {ours['system']}, Python {ours['python']}"
    versions = ", ".join(f"{name} {ours[name]}" for name in ("dagster-contracts", "polars", "pandas", "pyarrow"))
    return f"{where}; {versions}."


def _tables(found: Report) -> Iterable[str]:
    compared = [each for each in found.results if each.peer in found.versions or not each.peer]
    for title in dict.fromkeys(each.case for each in compared):
        rows = [each for each in compared if each.case == title]
        peers = dict.fromkeys(each.peer for each in rows)
        body = [_row(peer, {each.unit: each for each in rows if each.peer == peer}) for peer in peers]
        yield "\n".join([f"## {title}", "", "| beside | ours | theirs | ratio | ratio of CPU time |", "|---|---|---|---|---|", *body])
    others = [each for each in found.results if each not in compared]
    if others:
        body = [f"| {each.case} | {figure(each.ours, each.unit)} | {_bound(each)} | {_ratio(each)} |" for each in others]
        yield "\n".join(["## Ours beside a bound", "", "| what | ours | bound | ratio |", "|---|---|---|---|", *body])


def _row(peer: str, units: Mapping[str, Result]) -> str:
    wall, cpu = units["s"], units["s of CPU"]
    theirs = "" if wall.theirs is None else figure(wall.theirs, wall.unit)
    return f"| {peer or '-'} | {figure(wall.ours, wall.unit)} | {theirs} | {_ratio(wall)} | {_ratio(cpu)} |"


def _bound(result: Result) -> str:
    return result.peer if result.peer[:1].isdigit() else f"{result.peer}: {figure(result.theirs or 0, result.unit)}"


def _ratio(result: Result) -> str:
    return "" if result.ratio is None else f"{result.ratio:.2f}x" if result.ratio < 10 else f"{result.ratio:.1f}x"


def differences(found: Report) -> str:
    """Every engine with its versions, where its rules are not equal to ours, and why it is absent where it is."""
    return "\n".join(_notes(name, found) for name in dict.fromkeys((*found.versions, *found.absent)))


def _notes(name: str, found: Report) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in found.versions.get(name, {}).items())
    notes = [f"  - {what}: {how}" for what, how in found.unequal.get(name, {}).items()]
    if name in found.absent:
        notes.append(f"  - not measured: {found.absent[name]}")
    if name in found.wrong:
        notes.append(f"  - answers otherwise on: {', '.join(sorted(found.wrong[name]))}")
    return "\n".join([f"- **{name}**" + (f" ({versions})" if versions else ""), *notes])
