"""`profile`: a reference file from a data file, and the data judged by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagster_contracts.core import profile_files
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, digest

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: payments
version: 1.0.0
status: active
schema:
  - name: payments
    properties:
      - name: amount
        logicalType: number
        quality:
          - type: custom
            engine: dagster-contracts
            implementation: {metric: kolmogorovSmirnov, mustBeLessThan: 0.3, reference: {file: profiles/payments.json}}
      - name: customer
        logicalType: string
        classification: restricted
        quality:
          - type: custom
            engine: dagster-contracts
            implementation: {metric: newValues, mustBe: 0, reference: {file: profiles/payments.json}}
      - {name: note, logicalType: string}
"""


@pytest.fixture
def payments(tmp_path: Path) -> Path:
    file = tmp_path / "contracts" / "payments.odcs.yaml"
    file.parent.mkdir()
    file.write_text(CONTRACT)
    (tmp_path / "usual.csv").write_text("amount,customer,note\n1,ana,x\n2,bo,y\n2,ana,z\n,ana,z\n")
    (tmp_path / "drifted.csv").write_text("amount,customer,note\n7,mallory,x\n8,bo,y\n9,ana,z\n")
    return file


def test_what_is_written_is_what_the_rules_compare_with(payments: Path, run: Callable[..., Any]) -> None:
    assert run("lint", payments).code == 1  # the profile is not there yet
    place = payments.parent / "profiles" / "payments.json"
    written = run("profile", "usual.csv", "--contract", payments, "--output", place)
    assert (written.code, written.out, written.err) == (0, "", f"wrote {place}\n")
    assert profile_files.from_text(place.read_text()) == {
        ("amount", False): NumericProfile((1.0, 2.0), (1, 2), 1),
        ("customer", True): CategoryProfile(((digest("ana"), 3), (digest("bo"), 1)), veiled=True),
    }
    assert run("lint", payments).code == 0
    assert run("test", payments, "--data", "usual.csv").code == 0
    drifted = run("test", payments, "--data", "drifted.csv", "--format", "json")
    assert drifted.code == 1
    failed = {found["rule"]: found["observed"] for found in drifted.json["findings"] if found["outcome"] == "fail"}
    assert failed == {
        "amount.kolmogorovSmirnov": "Kolmogorov-Smirnov statistic 1: at most 2 (100% -> 0%)",
        "customer.newValues": "1 (values masked: classification)",
    }
    assert "mallory" not in drifted.out


def test_without_output_it_is_printed(payments: Path, run: Callable[..., Any]) -> None:
    printed = run("profile", "usual.csv", "-c", payments)
    assert (printed.code, printed.err) == (0, "")
    assert sorted(profile_files.from_text(printed.out)) == [("amount", False), ("customer", True)]


def test_a_contract_without_such_rules_has_all_columns_profiled(contract: Path, good: Path, run: Callable[..., Any]) -> None:
    printed = run("profile", good, "-c", contract)
    assert sorted(profile_files.from_text(printed.out)) == [("customer_id", False), ("risk_indicator", True)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("customer,note\nana,x\n", "no profile could be made of amount: the column is missing; nothing was written"),
        ("", "nothing.csv"),
    ],
)
def test_what_cannot_be_profiled_says_why(payments: Path, run: Callable[..., Any], tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "nothing.csv").write_text(content)
    failed = run("profile", "nothing.csv", "-c", payments, "-o", "p.json")
    assert failed.code == 2
    assert message in failed.err
    assert not (tmp_path / "p.json").exists()


def test_bad_usage(payments: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    assert "absent.csv" in run("profile", "absent.csv", "-c", payments).err
    unknown = run("profile", "usual.csv", "-c", payments, "--object", "payment")
    assert (unknown.code, 'did you mean "payments"?' in unknown.err) == (2, True)
    (tmp_path / "file").write_text("")
    refused = run("profile", "usual.csv", "-c", payments, "-o", "file/p.json")
    assert (refused.code, "cannot be written" in refused.err) == (2, True)
