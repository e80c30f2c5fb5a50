"""Numbers with more digits than a float keeps."""

from __future__ import annotations

import copy
import json
import math
import pickle
from decimal import Decimal
from fractions import Fraction

import pytest

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.document import read
from dagster_contracts.core.metrics import OutOfRange
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Within
from dagster_contracts.core.precise import Precise, number_of
from dagster_contracts.core.wording import number
from dagster_contracts.core.yaml_text import scalar

LONG = "12345678901234567890.12"


@pytest.mark.parametrize(
    "text", ["0.1", "-2.50", "1e5", "1e400", "1e-999999999", "0." + "1" * 200, "0.30000000000000004", "1.7976931348623157e308"]
)
def test_what_a_float_keeps_or_nobody_writes_is_a_float(text: str) -> None:
    assert type(number_of(text)) is float


def test_it_is_its_digits_and_computes_as_a_float() -> None:
    found, near = number_of(LONG), number_of("12345678901234567890.13")
    assert (str(found), f"{found}", number(found)) == (LONG, LONG, LONG)
    assert (Decimal(str(found)), Fraction(str(found))) == (Decimal(LONG), Fraction(LONG))
    assert (found < near, near > found, found == near, found == Precise(LONG), found != float(LONG)) == (True, True, False, True, True)
    assert (12345678901234567890 < found < 12345678901234567891, found < math.inf, found < math.nan) == (True, True, False)
    assert (found < Fraction(1), found > Fraction(1)) == (False, True)
    assert number_of(f"{2**80}.0") == 2**80
    assert hash(number_of(f"{2**80}.0")) == hash(2**80)
    assert type(found * 1) is float
    assert found * 1 == float(LONG)
    assert str(copy.deepcopy(pickle.loads(pickle.dumps(found)))) == LONG
    assert json.loads(json.dumps(found)) == float(LONG)
    assert scalar(found) == LONG
    assert number_of("123456789012.00000000001").is_integer() is False


@pytest.mark.parametrize("digits", [LONG, "-0.1234567890123456789", "1.000000000000000000001e3"])
def test_a_document_keeps_them(digits: str) -> None:
    assert str(read(f"maximum: {digits}").value["maximum"]) == str(Decimal(digits))  # type: ignore[index]


def test_a_bound_is_compared_by_them() -> None:
    head = "apiVersion: v3.1.0\nkind: DataContract\nid: a\nversion: 1.0.0\nstatus: active\nschema:\n- name: o\n  properties:\n"
    contract = parse(f"{head}  - {{name: n, logicalType: number, logicalTypeOptions: {{maximum: {LONG}}}}}\n")
    checks = [rule.check for rule in compile_plan(contract, contract.objects[0]).rules]
    (metric,) = [check.metric for check in checks if isinstance(check, Within) and isinstance(check.metric, OutOfRange)]
    assert str(metric.maximum) == LONG
