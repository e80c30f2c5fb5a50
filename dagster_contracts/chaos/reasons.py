"""Why no clause would catch a fault."""

from __future__ import annotations

_REASONS = {
    "reorder_columns": (
        "columns are read by name, so that their order changes nothing for consumers that do; where one reads by place, Great Expectations "
        "has expect_table_columns_to_match_ordered_list"
    ),
    "retype_to_text": (
        "text that reads as the type of the column keeps the contract; physicalType, which tells it from the type itself, is judged of "
        "tables of a database"
    ),
    "key_collision": "the column holds measurements, of which two may be equal, or clean batches repeat values of it",
    "out_of_order": "a delivery that comes twice is judged as any other, and this one is good",
    "daily_to_hourly": "its parts are judged one by one; only their size and their times tell, and here these may vary so much",
    "early": "how far apart deliveries come is promised (frequency), and this is within its tolerance",
    "late": "clean batches come at times that differ as much, or their arrival times are not known",
    "missing": "how often deliveries come is not known: clean batches come at times that differ too much",
    "stale_copy": "clean batches repeat one another, too",
    "replay": "clean batches repeat one another, too",
    "day_month_swap": "the days of the column are spread over months, so that swapped dates look as all others do",
    "column_swap": "the two columns hold alike values, and no relation between them that holds in every clean row",
    "segment_poisoning": "the segment is so small, or its values spread so widely, that clean batches differ as much",
}
_SMALL = "clean batches differ from one another as much as this changes them: a bound that catches it would cry wolf"


def reason_for(fault: str) -> str:
    return _REASONS.get(fault, _SMALL)
