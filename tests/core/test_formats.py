"""The formats of text, in the dialect that runs them."""

from __future__ import annotations

import ipaddress
import uuid

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.formats import INTEGERS, TEXT_PATTERNS
from dagster_contracts.core.patterns import pattern_problem


def fits(word: str, *texts: str) -> list[bool]:
    return pl.Series(list(texts), dtype=pl.String).str.contains(TEXT_PATTERNS[word]).to_list()


@pytest.mark.parametrize(
    ("word", "right", "wrong"),
    [
        ("email", ["a@b.co", "x+y@z", "a.b@c-d.e"], ["a@", "@b", "a b@c.d", "a@-b.c", "a@b..c", "a@b.c\n", ".a@b.c", "a.@b.c", "a..b@c.d"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000", "{123e4567-e89b-12d3-a456-426614174000}"]),
        ("uri", ["http://a.b/c?d=e#f", "urn:isbn:1", "mailto:a@b", "a:"], ["a b", "//x", "http://a b", "http://%zz", "http://é"]),
        ("url", ["http://a.b/c", "s3://bucket/key"], ["urn:isbn:1", "http://", "a.b/c"]),
        ("hostname", ["a", "a-b.c1.org", "1.2"], ["-a", "a-", "a..b", "a_b", "", f"{'a' * 64}.org"]),
        ("ipv4", ["0.0.0.0", "255.1.20.3"], ["256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5"]),
        ("ipv6", ["::", "1::", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8"], ["1:2:3:4:5:6:7", "1::2::3", "12345::", "fe80::1%eth0", "1.2.3.4"]),
        ("byte", ["", "YQ==", "YWI=", "YWJj"], ["YQ", "Y===", "*", "YW Jj"]),
        (
            "date",
            ["2020-12-31", "2024-02-29", "2000-02-29"],
            ["2020-13-01", "2023-02-30", "1900-02-29", "2023-04-31", "31.12.2020", "2020-12-31T00:00:00Z"],
        ),
        (
            "date-time",
            ["2020-12-31T23:59:60Z", "2020-12-31t00:00:00.5+01:00"],
            ["2020-12-31", "2020-12-31T00:00:00", "2023-02-29T00:00:00Z"],
        ),
        ("time", ["10:00:00Z"], ["10:00", "25:00:00Z"]),
        ("duration", ["P1Y2M3DT4H5M6S", "PT1S", "P2W", "P1D", "PT0.5H"], ["P", "PT", "P1H", "1D", "P1DT", "P1W2D", "PT1S1M"]),
    ],
)
def test_formats_of_text(word: str, right: list[str], wrong: list[str]) -> None:
    assert fits(word, *right) == [True] * len(right)
    assert fits(word, *wrong) == [False] * len(wrong)


def test_every_pattern_runs_in_linear_time_and_is_tested() -> None:
    assert [pattern_problem(pattern) for pattern in TEXT_PATTERNS.values()] == [None] * len(TEXT_PATTERNS)
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in TEXT_PATTERNS.values())


groups = st.sampled_from(["", "0", "ab", "ABCD", "f", "1.2.3.4", "12345", "g"])


@given(st.lists(groups, min_size=1, max_size=9), st.integers(0, 9), st.booleans())
def test_ipv6_is_what_python_says(parts: list[str], at: int, double: bool) -> None:
    text = f"{':'.join(parts[:at])}::{':'.join(parts[at:])}" if double else ":".join(parts)
    try:
        ipaddress.IPv6Address(text)
        right = True
    except ValueError:
        right = False
    assert fits("ipv6", text) == [right]


@given(st.ip_addresses(v=6), st.ip_addresses(v=4), st.uuids(), st.emails())
def test_what_is_one_fits(six: ipaddress.IPv6Address, four: ipaddress.IPv4Address, one: uuid.UUID, address: str) -> None:
    assert fits("ipv6", str(six), six.exploded) == [True, True]
    assert fits("ipv4", str(four)) == [True]
    assert fits("uuid", str(one), str(one).upper()) == [True, True]
    assert fits("email", address) == [True]


def test_integer_ranges() -> None:
    assert INTEGERS["i8"] == (-128, 127)
    assert INTEGERS["u8"] == (0, 255)
    assert INTEGERS["i128"] == (-(2**127), 2**127 - 1)
