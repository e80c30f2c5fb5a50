"""A campaign as one HTML page: no script, nothing loaded, readable on a phone, in print, and in the dark. Words of strangers stay words."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

from dagster_contracts.chaos.campaign import Campaign, Cell
from dagster_contracts.chaos.curves import curve
from dagster_contracts.chaos.fault import Group
from dagster_contracts.chaos.remedy import Proposal, Remedy, Uncaught
from dagster_contracts.chaos.score import Score, Share, score
from dagster_contracts.core.inert import cut, plain
from dagster_contracts.core.ledger import RouteKind
from dagster_contracts.core.wording import counted

_WHOLE = "whole batch"
_LONG = 300  # characters of a text that strangers gave
_NOTHING_LOADED = "default-src 'none'; style-src 'unsafe-inline'"
_READ = {
    RouteKind.FRESH: "fresh",
    RouteKind.UNJUDGED: "fresh",
    RouteKind.LAST_GOOD: "last good",
    RouteKind.LOW_CONFIDENCE: "low confidence",
    RouteKind.HALTED: "nothing",
}


def page(campaign: Campaign, remedy: Remedy | None = None, after: Campaign | None = None) -> str:
    """The whole document. `remedy` are the clauses that are missing, `after` the same campaign with them. Where clean batches are refused,
    or no fault could be tried, there is no score, and the page says why."""
    scored = _scored(campaign, remedy, after) if campaign.trials else _untried(campaign)
    body = "".join(_refused(campaign) if campaign.refusals else scored)
    return document(f"Chaos report: {campaign.contract_id} {campaign.contract_version}", f"{_about(campaign)}{body}")


def document(title: str, body: str, more_style: str = "") -> str:
    """A page that loads nothing; `body` is HTML, `title` is words."""
    style = (files("dagster_contracts.chaos") / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_NOTHING_LOADED}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}{more_style}</style>\n</head>\n<body>\n<h1>{text(title)}</h1>\n{body}</body>\n</html>\n"
    )


def text(words: object, limit: int = _LONG) -> str:
    """Words as words of a page: no tag, no attribute, nothing that hides or reorders."""
    return html.escape(plain(cut(str(words), limit)))


def _about(campaign: Campaign) -> str:
    clean = f"{counted(campaign.clean, 'clean batch', 'es')} {'was' if campaign.clean == 1 else 'were'} judged"
    return (
        f'<p class="faint">Object {text(campaign.object_name)}: faults injected into {text(campaign.batch or "the last batch")} '
        f"({counted(campaign.rows, 'row')}, {counted(len(campaign.columns), 'column')}), after {clean}. Seed {campaign.seed}.</p>\n"
    )


def _refused(campaign: Campaign) -> Iterator[str]:
    yield "<h2>No score</h2>\n<p>The contract does not accept clean batches, so that nothing it notices means anything. "
    yield "Correct these rules, or give data that is known to be good.</p>\n"
    yield _alarms(campaign)


def _untried(campaign: Campaign) -> Iterator[str]:
    yield "<h2>No score</h2>\n<p>No fault could be tried.</p>\n"
    yield _skipped(campaign)


def _scored(campaign: Campaign, remedy: Remedy | None, after: Campaign | None) -> Iterator[str]:
    now, then = score(campaign), score(after) if after is not None and not after.refusals else None
    yield _headline(now.total, then.total if then else None, remedy)
    yield _bars(now)
    yield "<h2>Faults and columns</h2>\n"
    yield "<p>How many doses of a fault are noticed in a column.</p>\n" + _LEGEND + '<div class="maps">'
    yield _heat(campaign.cells, campaign.columns, "As it is")
    if after is not None and then is not None:
        yield _heat(after.cells, after.columns, "With the clauses below")
    yield "</div>\n"
    yield _curves(campaign, after if then else None)
    yield _consumers(campaign.cells)
    if remedy is not None:
        yield _missing(remedy)
    if campaign.alarms:
        yield "<h2>Complaints about clean batches</h2>\n" + _alarms(campaign)
    yield _skipped(campaign)


def _headline(now: Share, then: Share | None, remedy: Remedy | None) -> str:
    later = (
        f" <span>→ <b>{then.percent:.0f}%</b> with {counted(len(remedy.proposals) if remedy else 0, 'clause')} more</span>" if then else ""
    )
    return (
        f'<div class="score"><b>{now.percent:.0f}%</b> <span>of {now.tried:,} injected faults are noticed</span>{later}</div>\n'
        f'<p class="faint">{now.caught:,} noticed, {now.stopped:,} of them kept from consumers of fresh data, '
        f"{now.tried - now.caught:,} missed.</p>\n"
    )


def _bars(found: Score) -> str:
    rows = "".join(
        f"<span>{text(clause.value)}</span>{_bar(share)}<span>{share.caught:,} of {share.tried:,}</span>"
        for clause, share in found.by_clause.items()
    )
    return f'<div class="bars">{rows}</div>\n'


def _bar(share: Share) -> str:
    parts = (("good", share.stopped), ("warned", share.caught - share.stopped), ("bad", share.tried - share.caught))
    return '<span class="bar">' + "".join(_part(kind, count, share.tried) for kind, count in parts if count) + "</span>"


def _part(kind: str, count: int, of: int) -> str:
    return f'<i class="{kind}" style="width:{100 * count / of:.2f}%"></i>'


# --- fault by column -----------------------------------------------------------------------------------------------

_LEGEND = (
    '<p class="legend"><span><i class="good"></i>noticed and kept from consumers of fresh data</span>'
    '<span><i class="warned"></i>noticed, published with a warning</span><span><i class="partly"></i>some doses missed</span>'
    '<span><i class="bad"></i>missed</span></p>\n'
)


def _heat(cells: Sequence[Cell], columns: Sequence[str], caption: str) -> str:
    known: dict[tuple[str, str | None], Cell] = {(cell.fault, cell.column): cell for cell in cells}
    shown: list[str | None] = [None, *columns]
    head = "".join(f'<th scope="col"><span>{text(_WHOLE if name is None else name, 60)}</span></th>' for name in shown)
    body = "".join(_rows(cells, known, shown))
    heat = f'<table class="heat"><thead><tr><th></th>{head}</tr></thead>\n<tbody>{body}</tbody></table>'
    return f'<div class="wide"><h3>{caption}</h3>{heat}</div>\n'


def _rows(cells: Sequence[Cell], known: dict[tuple[str, str | None], Cell], columns: Sequence[str | None]) -> Iterator[str]:
    for group in Group:
        faults = list(dict.fromkeys(cell.fault for cell in cells if cell.group is group))
        if faults:
            yield f'<tr class="group"><th colspan="{len(columns) + 1}">{group.value}</th></tr>\n'
        for fault in faults:
            inner = "".join(_cell(known.get((fault, column))) for column in columns)
            yield f'<tr><th scope="row" title="{text(fault)}">{text(_words(fault), 60)}</th>{inner}</tr>\n'


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return '<td class="no"></td>'
    caught, tried = sum(trial.caught for trial in cell.trials), len(cell.trials)
    told = "; ".join(f"dose {trial.dose:g}: {trial.result.value}" for trial in cell.trials)
    sign = f"{caught}/{tried}" if tried > 1 else "✓" if caught else "✗"
    return f'<td class="{_kind(cell)}" title="{text(told)}">{sign}</td>'


def _kind(cell: Cell) -> str:
    if cell.caught:
        return "good" if all(trial.result.stopped for trial in cell.trials) else "warned"
    return "partly" if any(trial.caught for trial in cell.trials) else "bad"


def _words(name: str) -> str:
    return name.replace("_", " ")


# --- doses ---------------------------------------------------------------------------------------------------------


def _curves(campaign: Campaign, after: Campaign | None) -> str:
    graded = list(_graded(campaign.cells))
    figures = "".join(_figure(fault, cells, after) for fault, cells in graded if not all(cell.caught for cell in cells))
    always = ", ".join(text(_words(fault)) for fault, cells in graded if all(cell.caught for cell in cells))
    dashed = ", dashed with the clauses below" if after is not None else ""
    intro = f"<p>The share of columns in which a fault is noticed, by dose{dashed}. Green: kept from consumers of fresh data.</p>\n"
    rest = f'<p class="faint">Noticed in every column at every dose: {always}.</p>\n' if always else ""
    curves = f'{intro}<div class="curves">{figures}</div>\n' if figures else ""
    return f"<h2>How much must be wrong</h2>\n{curves}{rest}" if graded else ""


def _graded(cells: Sequence[Cell]) -> Iterator[tuple[str, list[Cell]]]:
    for fault in dict.fromkeys(cell.fault for cell in cells):
        found = [cell for cell in cells if cell.fault == fault]
        if max(len(cell.trials) for cell in found) > 1:
            yield fault, found


def _figure(fault: str, cells: Sequence[Cell], after: Campaign | None) -> str:
    later = [cell for cell in after.cells if cell.fault == fault] if after is not None else []
    least = min((cell.threshold for cell in cells if cell.threshold is not None), default=None)
    unit = text(f"share {cells[0].unit}" if cells[0].unit.startswith("of ") else cells[0].unit)
    smallest = f"; from {least:.2g}" if least is not None else ""
    caption = f'<figcaption>{text(_words(fault), 60)}<br><span class="faint">{unit}{smallest}</span></figcaption>'
    return f"<figure>{caption}{curve(fault, cells, later)}</figure>\n"


# --- consumers -----------------------------------------------------------------------------------------------------


def _consumers(cells: Sequence[Cell]) -> str:
    reads = [read for cell in cells for trial in cell.trials for read in trial.reads]
    rows: list[Sequence[object]] = []
    for name in dict.fromkeys(read.consumer for read in reads):
        own = [read for read in reads if read.consumer == name]
        counts = dict.fromkeys(("fresh", "last good", "low confidence", "nothing"), 0)
        for read in own:
            counts[_READ[read.kind]] += 1
        broken = sum(not read.as_promised for read in own)
        faulty = sum(read.faulty and read.kind is not RouteKind.LOW_CONFIDENCE for read in own)
        told = ", ".join(f"{_READ_WORDS[kind]} {count:,}" for kind, count in counts.items() if count)
        kept = "as its policy says" if not broken else f"{broken:,} not as its policy says"
        rows.append((name, own[0].accepts.value, told, f"{faulty:,}", kept))
    intro = "<p>What each consumer would have read, of all faults tried.</p>\n"
    found = table(("consumer", "accepts", "reads", "reads the fault unawares", "policy"), rows)
    return f"<h2>What consumers would have read</h2>\n{intro}{found}" if rows else ""


_READ_WORDS = {"fresh": "fresh", "last good": "the last good", "low confidence": "marked low", "nothing": "halted"}


# --- missing clauses -----------------------------------------------------------------------------------------------


def _missing(remedy: Remedy) -> str:
    needed = [proposal for proposal in remedy.proposals if proposal.catches]
    more = [proposal for proposal in remedy.proposals if not proposal.catches]
    parts = [f"<h2>Missing clauses</h2>\n<p>{_intro(remedy)}</p>\n", *map(_proposal, needed)]
    if more:
        parts.append("<h3>And so that other faults fare no better</h3>\n<p>Promises that all clean batches keep.</p>\n")
        parts += map(_proposal, more)
    if remedy.uncaught:
        parts.append(f"<h2>What no clause catches</h2>\n{table(_UNCAUGHT, map(_uncaught, remedy.uncaught))}")
    return "".join(parts)


def _intro(remedy: Remedy) -> str:
    if not remedy.proposals:
        return "None that clean batches keep."
    return "Each was tried: it catches what is named, and no clean batch breaks it. Copy it into the contract, under what stands around it."


def _proposal(proposal: Proposal) -> str:
    catches: dict[str, list[str]] = {}
    for fault, _, dose in proposal.catches:
        catches.setdefault(_words(fault), []).append(f"{dose:g}")
    told = ", ".join(f"{fault} ({', '.join(doses)})" if doses != ["1"] else fault for fault, doses in catches.items())
    learned = f"Learned: {proposal.clause.told}. " if proposal.clause.told else ""
    line = f'<p class="faint">{text(learned)}{text("Catches " + told + "." if told else "", 600)}</p>'
    return f"<article><h3>{text(proposal.clause.name)}</h3>\n{line}<pre>{text(proposal.yaml, 10_000)}</pre></article>\n"


_UNCAUGHT = ("fault", "column", "doses", "why")


def _uncaught(each: Uncaught) -> Sequence[object]:
    return (_words(each.fault), each.column or _WHOLE, ", ".join(f"{dose:g}" for dose in each.doses), each.reason)


# --- the rest ------------------------------------------------------------------------------------------------------


def _alarms(campaign: Campaign) -> str:
    found = ((alarm, finding) for alarm in campaign.alarms for finding in alarm.findings)
    rows = [(alarm.batch, alarm.outcome.value, finding.rule, finding.observed, finding.expected) for alarm, finding in found]
    return table(("batch", "outcome", "rule", "observed", "expected"), rows)


def _skipped(campaign: Campaign) -> str:
    if not campaign.skipped:
        return ""
    rows = [(each.fault or "every fault", each.column or "every column", each.reason) for each in campaign.skipped]
    found = table(("fault", "column", "why"), rows)
    return f"<details><summary>Not tried, and not counted ({len(campaign.skipped)})</summary>\n{found}</details>\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], name: str = "") -> str:
    """On a phone the cells of a row stand one below the other, each with the name of its column. `name` is for styles."""
    head = "".join(f"<th>{text(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_datum, columns, row))}</tr>\n" for row in rows)
    return f'<table class="{f"plain stack {name}".rstrip()}"><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n'


def _datum(column: str, value: object) -> str:
    return f'<td data-of="{text(column)}">{text(value)}</td>'
