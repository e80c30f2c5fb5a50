"""What each labelled drift of the real feeds means under their contracts: the rules that speak of it, or why none does.

`SPOKEN` names, for a label (dataset, partition, kind), the rules that break, the partition on which they break first, and the rules
that the delivery before it broke already: a breaker can be baselined before the drift only where those are none.
"""

from __future__ import annotations

from dataclasses import dataclass

Label = tuple[str, str, str]


@dataclass(frozen=True)
class Spoken:
    """`before` None: there is no earlier delivery."""

    on: str
    rules: frozenset[str]
    before: frozenset[str] | None

    @property
    def trips(self) -> bool:
        """Whether a breaker that is baselined on the delivery before can be seen to trip."""
        return self.before == frozenset()


def _spoken(on: str, *rules: str, before: tuple[str, ...] | None) -> Spoken:
    return Spoken(on, frozenset(rules), None if before is None else frozenset(before))


_TAXI_NULLS = ("vendor_id.nullValues", "passenger_count.nullValues", "payment_type.nullValues")

SPOKEN: dict[Label, Spoken] = {
    ("nyc_taxi", "2019-01", "null_rate"): _spoken("2019-01", "congestion_surcharge.nullValues", before=None),
    ("nyc_taxi", "2020-05", "null_rate"): _spoken("2020-05", *_TAXI_NULLS, before=()),
    ("nyc_taxi", "2020-11", "outlier"): _spoken("2020-11", "trip_distance.maximum", before=(*_TAXI_NULLS, "duplicateValues")),
    ("jhu_daily", "2020-03-22", "schema"): _spoken(
        "2020-03-22", "Province/State.present", "Country/Region.present", "Last Update.present", before=()
    ),
    ("jhu_us_daily", "2020-04-28", "null_rate"): _spoken("2020-04-28", "People_Hospitalized.nullValues", before=("Recovered.nullValues",)),
    ("jhu_us_daily", "2020-04-30", "row_count"): _spoken("2020-05-05", "Recovered.nullValues", before=("People_Hospitalized.nullValues",)),
    # Filled on the day of the label, null again from 2020-12-04: that is the day on which the rule breaks.
    ("italy_regioni", "2020-06-25", "null_rate"): _spoken("2020-12-04", "casi_da_screening.nullValues", before=()),
    ("italy_regioni", "2020-02-27,03-01,03-02,03-09,04-17,05-04,05-07", "range"): _spoken(
        "2020-02-27",
        "nuovi_positivi.minimum",
        before=("casi_da_screening.nullValues", "casi_testati.nullValues", "ingressi_terapia_intensiva.nullValues"),
    ),
    ("lendingclub", "2007-06", "null_rate"): _spoken("2007-06", "revol_util.nullValues", before=None),
    ("lendingclub", "2007-06..2008-03", "null_rate"): _spoken("2007-06", "pub_rec_bankruptcies.nullValues", before=None),
    ("lendingclub", "2007-06..08, 2007-12..2008-02", "domain"): _spoken("2007-06", "home_ownership.invalidValues", before=None),
    # Of the purpose no rule speaks; of the volume one does, on the last month of the label.
    ("lendingclub", "2008-03..2008-09", "domain+volume"): _spoken("2008-09", "rowCount", before=()),
    ("bike_sharing", "2011-03", "range"): _spoken("2011-03", "hum.exclusiveMinimum", before=("rowCount",)),
    ("bike_sharing", "2011-01", "domain"): _spoken("2011-01", "weathersit.invalidValues", before=None),
    ("uci_credit_default", "all", "domain"): _spoken("batch_00", "X3.invalidValues", "X4.invalidValues", "X6.invalidValues", before=None),
}

_NO_CONTRACT = "this feed has no contract"
_ENCODING = "a byte order mark and line ends are how a file is written, not what its table holds: no contract speaks of them"
_OPEN_SCHEMA = "columns are added, and the contract does not close its schema"
_BETTER = "a column that was null is filled: the rule holds from this day on"

UNSPOKEN: dict[Label, str] = {
    ("nyc_taxi", "2019-02", "domain"): "the contract limits the nulls of passenger_count, not its values",
    ("nyc_taxi", "2020-01", "null_rate+dtype"): "0.95% null is within the 2% allowed, and a whole number read as a float is a number",
    ("nyc_taxi", "2020-01", "domain"): "a value that is allowed and no longer comes breaks no list of allowed values",
    ("nyc_taxi", "2020-05", "distribution"): "the contract has no rule on distributions",
    ("jhu_daily", "2020-01-22..2020-01-31", "encoding"): _ENCODING,
    ("jhu_daily", "2020-02-02", "format"): "Last Update is promised as text, of whichever form",
    ("jhu_daily", "2020-03-01", "schema"): _OPEN_SCHEMA,
    ("jhu_daily", "2020-03-13", "encoding"): _ENCODING,
    ("jhu_daily", "2020-03-22", "encoding"): _ENCODING,
    ("italy_regioni", "2020-04-19", "null_rate"): _BETTER,
    ("italy_regioni", "2020-12-03", "null_rate"): _BETTER,
    ("italy_regioni", "2021-01-15", "schema"): _OPEN_SCHEMA,
    ("italy_regioni", "2020-11-04", "identity"): "its rule is of type sql, which is listed as not executed",
    ("italy_regioni", "2020-12-17/18", "monotonic"): "the contract compares no delivery with the one before",
    ("italy_nazionale", "2020-03-11", "format"): _NO_CONTRACT,
    ("italy_nazionale", "2021-01-15", "schema"): _NO_CONTRACT,
    ("bike_sharing", "2011-01", "completeness"): "688 hours are more than the 672 that the contract asks for",
    ("nyc_weather", "2013-02", "outlier"): _NO_CONTRACT,
    ("nyc_weather", "all", "null_rate"): _NO_CONTRACT,
}
