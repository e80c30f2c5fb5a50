"""Profile files that contracts name: read with the contract, part of what it says, and told of where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_contracts.core import profile_files
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.errors import ContractInvalid
from dagster_contracts.core.plan import Drifted
from dagster_contracts.core.profile import CategoryProfile, NumericProfile
from dagster_contracts.store import references
from dagster_contracts.store.files import load_contracts, survey_contracts

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: trips
version: 1.0.0
status: active
schema:
  - name: trips
    properties:
      - name: fare
        logicalType: number
        quality:
          - type: custom
            engine: dagster-contracts
            implementation: {metric: psi, mustBeLessThan: 0.1, reference: {file: profiles/trips.json}}
"""
FARES = profile_files.to_text("trips", 3, {("fare", False): NumericProfile((1.0, 2.0), (1, 2))})


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    file = tmp_path / "trips.odcs.yaml"
    file.write_text(CONTRACT)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "trips.json").write_text(FARES)
    return file


def test_a_profile_is_read_beside_the_contract(contract: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    (found,) = load_contracts(contract)
    assert found.objects[0].profiles == {"profiles/trips.json": FARES}
    plan = compile_plan(found, found.objects[0])
    assert any(isinstance(rule.check, Drifted) for rule in plan.rules)
    assert plan.not_executed == ()


def test_the_content_hash_covers_it(contract: Path) -> None:
    (before,) = load_contracts(contract)
    (again,) = load_contracts(contract)
    place = contract.parent / "profiles" / "trips.json"
    place.write_text(FARES.replace('"counts":[1,2]', '"counts":[1,3]'))
    (after,) = load_contracts(contract)
    (without,) = load_contracts(contract, profiles=False)
    assert before.content_hash == again.content_hash
    assert len({before.content_hash, after.content_hash, without.content_hash}) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory; write it with `dagster-contracts profile`"),
        (b"\xff", "is no UTF-8 text"),
        (b"{", "is no JSON"),
        (b'{"version": 1}', 'the key "profiles" is missing'),
        (FARES.replace('"version": 1,', '"version": 3,', 1).encode(), "is a file of version 3"),
        (FARES.replace('"values":[1.0,2.0]', '"values":[2.0,1.0]').encode(), "is damaged at column fare"),
        (FARES.replace('"fare"', '"fares"').encode(), 'has no numbers of the column fare, did you mean "fares"?'),
        (profile_files.to_text("trips", 3, {("fare", True): CategoryProfile(())}).encode(), "has no numbers of the column fare"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_both_files(contract: Path, content: bytes | None, message: str) -> None:
    place = contract.parent / "profiles" / "trips.json"
    place.unlink() if content is None else place.write_bytes(content)
    with pytest.raises(ContractInvalid) as wrong:
        load_contracts(contract)
    (problem,) = wrong.value.problems
    assert (problem.source, problem.path) == (str(contract), "schema[0].properties[0].quality[0].implementation.reference.file")
    assert "profiles/trips.json" in problem.message
    assert message in problem.message
    found, problems = survey_contracts(contract)
    assert (found, problems) == ([], [problem])
    assert len(load_contracts(contract, profiles=False)) == 1


def test_a_folder_and_a_large_file_are_refused(contract: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MAX_BYTES", 10)
    assert "is larger than 10 bytes" in survey_contracts(contract)[1][0].message
    contract.write_text(CONTRACT.replace("profiles/trips.json", "profiles"))
    monkeypatch.undo()
    assert "cannot be read: Is a directory" in survey_contracts(contract)[1][0].message


def test_a_profile_is_no_contract_of_its_folder(contract: Path) -> None:
    assert [found.id for found in load_contracts(contract.parent)] == ["trips"]
