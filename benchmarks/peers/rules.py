"""The 30 rules that every engine executes, stated once. Standard library only: each peer's environment reads it.

A peer answers with the names of the rules that its run found broken; BROKEN are those that the failing table breaks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

REFERENCE_TIME = datetime(2026, 6, 1)  # noqa: DTZ001 - the data's own clock: naive, as most columns are
NEWEST_AT_LEAST = REFERENCE_TIME - timedelta(hours=24)

FLOATS = tuple(f"f{number}" for number in range(10))
COLUMNS = (
    ("customer_id", "string"),
    ("account_status", "string"),
    ("risk_indicator", "string"),
    ("balance", "number"),
    ("score", "integer"),
    ("opened_at", "date"),
    ("updated_at", "timestamp"),
    ("email", "string"),
    ("country", "string"),
    *((name, "number") for name in FLOATS),
)
NAMES = tuple(name for name, _ in COLUMNS)

NULL_SHARES = {  # at most, 0..1
    "customer_id": 0.0,
    "account_status": 0.0,
    "risk_indicator": 0.0,
    "score": 0.0,
    "updated_at": 0.0,
    "balance": 0.05,
    "email": 0.01,
    "f0": 0.01,
}
ALLOWED = {
    "account_status": ("ACTIVE", "CLOSED", "DELINQUENT", "FROZEN"),
    "risk_indicator": ("LOW", "MEDIUM", "HIGH", "SEVERE"),
    "country": ("US", "CA", "MX", "BR", "AR", "GB", "IE", "FR", "DE", "ES", "IT", "NL", "BE", "SE", "NO", "PL", "JP", "IN", "AU", "ZA"),
}
RANGES = {"balance": (-1e5, 1e6), "score": (300, 850), **dict.fromkeys(FLOATS[1:5], (0, 1000))}
KEY = "customer_id"
COMPOSITE = ("customer_id", "updated_at")
EMAIL = r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$"
ROWS = (1, 1_000_000_000)
MEAN = {"f5": (-0.5, 0.5)}
DEVIATION = {"f6": (0.5, 1.5)}
MEDIAN = {"f7": (-0.5, 0.5)}
# Inner deciles of the distributions that f8 (gamma, shape 2, scale 2) and f9 (normal) are drawn from: one tenth in each bin.
DECILES = {
    "f8": (1.063623, 1.648777, 2.194698, 2.752843, 3.356694, 4.044626, 4.878433, 5.988617, 7.77944),
    "f9": (-1.281552, -0.841621, -0.524401, -0.253347, 0.0, 0.253347, 0.524401, 0.841621, 1.281552),
}
PSI_AT_MOST = 0.25
COUNTRY_LENGTH = 2

SCHEMA = "schema"
RULES = (
    SCHEMA,
    *(f"nulls.{name}" for name in NULL_SHARES),
    *(f"allowed.{name}" for name in ALLOWED),
    *(f"range.{name}" for name in RANGES),
    "unique.customer_id",
    "unique.composite",
    "pattern.email",
    "rows",
    "newest.updated_at",
    "ordered.opened_updated",
    "mean.f5",
    "deviation.f6",
    "median.f7",
    "psi.f8",
    "psi.f9",
    "length.country",
)
BROKEN = frozenset(
    [
        "nulls.customer_id",
        "unique.customer_id",
        "allowed.account_status",
        "allowed.risk_indicator",
        "allowed.country",
        "length.country",
        "range.balance",
        "range.score",
        "range.f1",
        "pattern.email",
        "ordered.opened_updated",
    ]
)
