"""What lies downstream of a broken asset, and what it reads."""

from __future__ import annotations

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.downstream import Reader, readings
from dagster_contracts.core.ledger import Partition, Route, RouteKind

FULL, STALE, LOW = Confidence.FULL, Confidence.STALE, Confidence.LOW
ROUTES = {
    FULL: Route("feed", Partition(), RouteKind.HALTED, None),
    STALE: Route("feed", Partition("d6"), RouteKind.LAST_GOOD, STALE, served=Partition("d5")),
    LOW: Route("feed", Partition("d6"), RouteKind.LOW_CONFIDENCE, LOW, served=Partition("d6")),
}


def read(*readers: tuple[str, str, Confidence]) -> dict[str, tuple[str, Confidence | None]]:
    given = [Reader(name, frozenset(reads.split()), accepts) for name, reads, accepts in readers]
    return {found.consumer: (found.told, found.confidence) for found in readings("feed", given, lambda reader: ROUTES[reader.accepts])}


def test_direct_readers_get_what_they_accept() -> None:
    assert read(("a", "feed", FULL), ("b", "feed", STALE), ("c", "feed other", LOW), ("d", "other", FULL)) == {
        "a": ("nothing: it is halted", None),
        "b": ("the last good data [d5]", STALE),
        "c": ("the refused data [d6], marked low", LOW),
    }


def test_confidence_travels_down_and_halts_who_needs_more() -> None:
    found = read(("far", "near", LOW), ("near", "feed", STALE), ("proud", "near", FULL), ("last", "proud far", LOW))
    assert found["far"] == ("near, made at stale confidence", STALE)
    assert found["proud"] == ("nothing: near is only stale, full is needed", None)
    assert found["last"] == ("nothing: proud is halted", None)
    assert next(iter(found)) == "near"


def test_a_reader_that_reads_both_is_told_the_worst() -> None:
    assert read(("near", "feed", LOW), ("both", "feed near", LOW))["both"][1] is LOW
    assert read(("near", "feed", STALE), ("both", "feed near", FULL))["both"] == ("nothing: it is halted", None)


def test_a_circle_ends() -> None:
    assert read(("a", "feed b", STALE), ("b", "a", STALE)) == {}
