"""A campaign for people: the score, what was missed, who would have read it, and how small a fault may be to be noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dagster_contracts.chaos.campaign import Campaign, Cell, Result, Trial
from dagster_contracts.chaos.faults.nulls import OF_ROWS
from dagster_contracts.chaos.score import MissingClause, Score, Share
from dagster_contracts.cli.printing import print_table, print_text, styled
from dagster_contracts.core.ledger import RouteKind
from dagster_contracts.core.wording import counted

_BAR = 20  # characters of a full one
_GOOD, _FAIR = 90, 60  # percent
_LISTED = 25  # rows of one table; --format json has all


def print_campaign(campaign: Campaign, score: Score | None) -> None:
    head = f"{campaign.contract_id} {campaign.contract_version}, {campaign.object_name}: {counted(campaign.clean, 'clean batch', 'es')}"
    print_text(f"{head}; faults in {campaign.batch} ({counted(campaign.rows, 'row')}), seed {campaign.seed}")
    print_text("")
    if campaign.refusals:
        _print_refusals(campaign)
        return
    _print_alarms(campaign)
    if score is None:
        print_text(styled("Not scored: no fault could be tried.", "bold red"))
        print_text("")
        _print_skipped(campaign)
        return
    _print_score(campaign, score)
    _print_missed(score.missing)
    _print_clauses(score)
    _print_consumers(campaign)
    _print_thresholds(campaign)
    _print_skipped(campaign)


# --- clean batches -------------------------------------------------------------------------------------------------


def _print_refusals(campaign: Campaign) -> None:
    told = f"Not scored: the contract refuses {len(campaign.refusals)} of {counted(campaign.clean, 'clean batch', 'es')}."
    print_text(styled(told, "bold red"), " A contract that refuses good data would catch every fault.")
    print_text("")
    rows = ((alarm.batch, each.rule, each.outcome, each.observed, each.expected) for alarm in campaign.refusals for each in alarm.findings)
    print_table(("batch", "rule", "outcome", "observed", "expected"), rows)
    print_text("")
    print_text("Give batches that are known to be good, correct these rules, or leave them out with --without RULE.")


def _print_alarms(campaign: Campaign) -> None:
    if not campaign.alarms:
        print_text("No false alarm on clean data.")
        return
    rules = Counter(finding.rule for alarm in campaign.alarms for finding in alarm.findings)
    told = ", ".join(f"{rule} ({number})" for rule, number in rules.most_common())
    print_text(styled(f"Warnings on {len(campaign.alarms)} of {counted(campaign.clean, 'clean batch', 'es')}: {told}", "yellow"))


# --- the score -----------------------------------------------------------------------------------------------------


def _print_score(campaign: Campaign, score: Score) -> None:
    total = score.total
    print_text(styled(f"Mutation score {total.percent:.1f}%", f"bold {_colour(total)}"), f"  {total.caught} of {total.tried} faults caught")
    results = Counter(trial.result for trial in _trials(campaign))
    told = [f"{results[result]} {_WORDS[result]}" for result in Result if results[result]]
    print_text(", ".join(told))
    refused = [trial for trial in _trials(campaign) if trial.result is Result.REFUSED]
    if refused:
        at_once = sum(trial.tripped for trial in refused)
        later = Counter(trial.batches_to_trip for trial in refused if (trial.batches_to_trip or 0) > 1)
        waits = "".join(f", {number} with batch {batches}" for batches, number in sorted(later.items(), key=str))
        never = sum(trial.batches_to_trip is None for trial in refused)
        print_text(f"Of the refused, {at_once} open the breaker at once{waits}{f', {never} never' if never else ''}")
    print_text("")


_WORDS = {
    Result.REFUSED: "refused",
    Result.HELD: "held (not measurable)",
    Result.SET_ASIDE: "with failing rows set aside",
    Result.WARNED: "warned of and published",
    Result.MISSED: "missed and published",
}


def _colour(share: Share) -> str:
    return "green" if share.percent >= _GOOD else "yellow" if share.percent >= _FAIR else "red"


def _trials(campaign: Campaign) -> Iterator[Trial]:
    return (trial for cell in campaign.cells for trial in cell.trials)


def _print_missed(missing: Sequence[MissingClause]) -> None:
    if not missing:
        print_text(styled("Nothing was missed.", "green"))
        print_text("")
        return
    print_text("Missed, by the clause that would notice:")
    print_table(("clause", "column", "missed", "faults", "for instance"), map(_missed, missing[:_LISTED]))
    if (more := len(missing) - _LISTED) > 0:
        print_text(f"{more} more with --format json")
    print_text("")


def _missed(missing: MissingClause) -> tuple[object, ...]:
    worst = missing.cells[0].missed[-1]
    number = sum(len(cell.missed) for cell in missing.cells)
    return (missing.clause, missing.column or "(the batch)", number, ", ".join(map(_doses, missing.cells)), worst.description)


def _doses(cell: Cell) -> str:
    if len(cell.missed) == len(cell.trials):
        return cell.fault
    return f"{cell.fault} up to {dosed(cell.missed[-1].dose, cell.unit)}"


def dosed(dose: float, unit: str) -> str:
    """ "10%", "0.5 standard deviations"."""
    return f"{100 * dose:.3g}%" if unit == OF_ROWS else f"{dose:.3g} {unit}".rstrip()


def _print_clauses(score: Score) -> None:
    rows = sorted(score.by_clause.items(), key=lambda entry: entry[1].percent)
    print_table(("clause", "score", "", "caught", "stopped", "tried"), (_clause(clause, share) for clause, share in rows))
    print_text("")


def _clause(clause: str, share: Share) -> tuple[object, ...]:
    bar = styled("█" * round(_BAR * share.percent / 100), _colour(share))
    return clause, f"{share.percent:.0f}%", bar, share.caught, share.stopped, share.tried


# --- consumers -----------------------------------------------------------------------------------------------------


def _print_consumers(campaign: Campaign) -> None:
    """How often each consumer would have read what."""
    reads = [read for trial in _trials(campaign) for read in trial.reads]
    if not reads:
        return
    rows = []
    for consumer, accepts in dict.fromkeys((read.consumer, read.accepts) for read in reads):
        own = [read for read in reads if read.consumer == consumer]
        fresh = [read for read in own if read.kind in (RouteKind.FRESH, RouteKind.UNJUDGED)]
        unlike = sum(not read.as_promised for read in own)
        faulty = sum(read.faulty for read in fresh)
        others = (sum(read.kind is kind for read in own) for kind in (RouteKind.LOW_CONFIDENCE, RouteKind.LAST_GOOD, RouteKind.HALTED))
        rows.append((consumer, accepts, styled(faulty, "red" if faulty else "green"), *others, unlike))
    print_text("What consumers would have read:")
    print_table(("consumer", "accepts", "faulty as fresh", "faulty as low", "last good", "halted", "unlike its policy"), rows)
    print_text("")


# --- thresholds ----------------------------------------------------------------------------------------------------


def _print_thresholds(campaign: Campaign) -> None:
    found = [(cell.threshold, cell) for cell in campaign.cells if cell.threshold is not None]
    if not found:
        return
    one_row = [cell for dose, cell in found if cell.unit == OF_ROWS and dose * campaign.rows <= 1]
    rest = sorted((entry for entry in found if entry[1] not in one_row), key=lambda entry: -entry[0] / entry[1].trials[-1].dose)
    if rest:
        print_text("The smallest dose that is noticed:")
        print_table(("fault", "column", "from", "by"), (_threshold(dose, cell) for dose, cell in rest[:_LISTED]))
        if (more := len(rest) - _LISTED) > 0:
            print_text(f"{more} more with --format json")
    if one_row:
        print_text(f"{counted(len(one_row), 'fault')} {'is' if len(one_row) == 1 else 'are'} noticed in a single row.")
    print_text("")


def _threshold(dose: float, cell: Cell) -> tuple[object, ...]:
    caught = next(trial for trial in cell.trials if trial.caught)
    return cell.fault, cell.column or "(the batch)", dosed(dose, cell.unit), ", ".join(_few(caught.rules))


def _few(rules: Sequence[str]) -> Iterable[str]:
    return rules if len(rules) <= 3 else (*rules[:3], f"{len(rules) - 3} more")


def _print_skipped(campaign: Campaign) -> None:
    if not campaign.skipped:
        return
    print_text(f"Not tried, and not counted ({len(campaign.skipped)}):")
    rows = ((each.fault, each.column, each.reason) for each in campaign.skipped[:_LISTED])
    print_table(("fault", "column", "why"), rows)
    if (more := len(campaign.skipped) - _LISTED) > 0:
        print_text(f"{more} more with --format json")
