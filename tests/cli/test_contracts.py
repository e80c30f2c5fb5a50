"""`lint` and `test`: what they print, and the exit codes that pipelines build on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import CONTRACT, Ran
from tests.schemas import assert_described
from tests.shared_cases import CASES, needs_cases

TWO_OBJECTS = CONTRACT.replace("schema:\n", "schema:\n  - name: other\n    properties:\n      - {name: id, logicalType: integer}\n")


# --- lint ----------------------------------------------------------------------------------------------------------


def test_lint_tells_how_many_rules_are_executed_and_which_are_not(run: Callable[..., Ran], contract: Path):
    ran = run("lint", contract)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"{contract}: vendor-feed 1.2.0"
    assert lines[1] == "  feed: 8 rules executed, 1 not executed:"
    assert lines[2].startswith("    risk_indicator.text: ")
    assert lines[-1] == "1 valid contract, 0 problems"


def test_lint_as_json(run: Callable[..., Ran], contract: Path):
    found = run("lint", contract, "--format", "json").json
    (linted,) = found["contracts"]
    assert (found["version"], found["problems"]) == (1, [])
    assert (linted["id"], linted["version"], linted["source"], linted["notes"]) == ("vendor-feed", "1.2.0", str(contract), [])
    assert linted["objects"][0]["executed"] == 8
    assert [item["rule"] for item in linted["objects"][0]["not_executed"]] == ["risk_indicator.text"]


def test_lint_tells_all_problems_of_all_files_at_once_beside_what_is_right(run: Callable[..., Ran], contract: Path, tmp_path: Path):
    (tmp_path / "a.odcs.yaml").write_text(CONTRACT.replace("required: true", "requird: true").replace("mustBe: 0\n", "mustBee: 0\n"))
    (tmp_path / "b.odcs.yaml").write_text('id: "a" b')
    ran = run("lint", tmp_path)
    assert ran.code == 1
    lines = ran.out.splitlines()
    typo = next(line for line in lines if "requird" in line)
    assert typo.startswith(f"{tmp_path}/a.odcs.yaml:14: schema[0].properties[0]")
    assert '"required"' in typo
    assert any(line.startswith(f"{tmp_path}/a.odcs.yaml:21: ") and "mustBe" in line for line in lines)
    assert any(line.startswith(f"{tmp_path}/b.odcs.yaml:1: ") for line in lines)
    assert lines[0] == f"{contract}: vendor-feed 1.2.0"
    found = run("lint", tmp_path, "--format", "json").json
    assert len(found["contracts"]) == 1
    assert {problem["source"] for problem in found["problems"]} == {f"{tmp_path}/a.odcs.yaml", f"{tmp_path}/b.odcs.yaml"}
    assert {"source": f"{tmp_path}/a.odcs.yaml", "line": 14} == {key: found["problems"][0][key] for key in ("source", "line")}


@needs_cases
def test_lint_accepts_the_real_contracts(run: Callable[..., Ran]):
    ran = run("lint", CASES / "contracts", "--format", "json")
    assert ran.code == 0
    assert len(ran.json["contracts"]) == 7


# --- test ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize(("values", "code", "outcome"), [(["HIGH_RISK", "LOW_RISK"], 0, "pass"), (["17", "LOW_RISK"], 1, "fail")])
def test_files_of_each_kind_pass_and_fail(
    run: Callable[..., Ran], contract: Path, tmp_path: Path, suffix: str, values: list[str], code: int, outcome: str
):
    import polars as pl

    frame, file = pl.DataFrame({"customer_id": [1, 2], "risk_indicator": values}), tmp_path / f"data.{suffix}"
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[suffix](file)
    ran = run("test", contract, "--data", file, "--format", "json")
    assert (ran.code, ran.json["outcome"]) == (code, outcome)


def test_json_has_the_published_form(run: Callable[..., Ran], contract: Path, bad: Path):
    ran = run("test", contract, "--data", bad, "--format", "json")
    assert (ran.code, ran.err) == (1, "")
    found = ran.json
    assert (found["version"], found["outcome"]) == (1, "fail")
    assert found["contract"] == {"id": "vendor-feed", "version": "1.2.0"}
    form = {"rule", "dimension", "column", "severity", "outcome", "observed", "expected", "failing_rows"}
    assert all(form <= finding.keys() for finding in found["findings"])
    (failed,) = [finding for finding in found["findings"] if finding["outcome"] == "fail"]
    assert (failed["column"], failed["failing_rows"], failed["severity"]) == ("risk_indicator", 1, "critical")
    assert failed["sample"] == [{"customer_id": "1", "risk_indicator": "17"}]
    assert [(item["rule"], "reason" in item) for item in found["not_executed"]] == [("risk_indicator.text", True)]


def test_text_has_the_worst_first_then_rows_then_what_was_not_executed(run: Callable[..., Ran], contract: Path, bad: Path):
    ran = run("test", contract, "--data", bad)
    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"fail  {bad} against vendor-feed 1.2.0; 2 rows; 1 fail, 7 pass, 1 not executed"
    assert lines[4].startswith("fail")
    assert all(line.startswith("pass") for line in lines[5:12])
    assert lines.index("Rows that break risk_indicator.invalidValues:") < lines.index("Not executed (1):")
    assert '  risk_indicator="17"  customer_id="1"' in lines
    assert all(line == line.rstrip() for line in lines)


def test_a_warning_is_no_failure(run: Callable[..., Ran], tmp_path: Path, bad: Path):
    file = tmp_path / "warn.odcs.yaml"
    file.write_text(CONTRACT.replace("mustBe: 0\n", "mustBe: 0\n            severity: warning\n"))
    ran = run("test", file, "--data", bad, "--format", "json")
    assert (ran.code, ran.json["outcome"]) == (0, "warn")


def test_rows_that_were_cut_are_announced(run: Callable[..., Ran], contract: Path, tmp_path: Path):
    (tmp_path / "many.csv").write_text("customer_id,risk_indicator\n" + "".join(f"{number},x\n" for number in range(9)))
    assert "  4 more with --format json" in run("test", contract, "--data", tmp_path / "many.csv").out.splitlines()


@pytest.mark.parametrize(("as_of", "code"), [("2026-01-02T00:00:00Z", 0), ("2026-01-03T01:00:00+01:00", 0), ("2026-01-03T00:00:01Z", 1)])
def test_as_of_is_when_the_data_arrived(run: Callable[..., Ran], tmp_path: Path, as_of: str, code: int):
    file = tmp_path / "fresh.odcs.yaml"
    level = "slaProperties:\n  - {property: latency, value: 1, unit: d, element: feed.at}\n"
    file.write_text(CONTRACT.replace("    properties:\n", "    properties:\n      - {name: at, logicalType: timestamp}\n") + level)
    (tmp_path / "data.csv").write_text("at,customer_id,risk_indicator\n2026-01-02T00:00:00Z,1,LOW_RISK\n")
    assert run("test", file, "--data", tmp_path / "data.csv", "--as-of", as_of).code == code


@pytest.mark.parametrize("as_of", ["yesterday", "2026-01-02T00:00:00", "2026-13-01"])
def test_a_wrong_as_of_is_bad_usage(run: Callable[..., Ran], contract: Path, good: Path, as_of: str):
    ran = run("test", contract, "--data", good, "--as-of", as_of)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f'error: --as-of: "{as_of}"')


def test_one_of_several_objects_is_chosen_by_name(run: Callable[..., Ran], tmp_path: Path, good: Path):
    file = tmp_path / "two.odcs.yaml"
    file.write_text(TWO_OBJECTS)
    assert run("test", file, "--data", good, "--object", "feed").code == 0
    ran = run("test", file, "--data", good)
    assert ran.code == 2
    assert "has 2 schema objects; choose one with --object: other, feed" in ran.err
    ran = run("test", file, "--data", good, "--object", "fed")
    assert ran.code == 2
    assert 'no schema object "fed", did you mean "feed"? it has: other, feed' in ran.err


def test_a_folder_of_several_contracts_is_no_contract(run: Callable[..., Ran], contract: Path, good: Path, tmp_path: Path):
    (tmp_path / "b.odcs.yaml").write_text(CONTRACT.replace("id: vendor-feed", "id: other"))
    ran = run("test", tmp_path, "--data", good)
    assert ran.code == 2
    assert f"holds 2 contracts; name the file of one: {tmp_path}/b.odcs.yaml, {contract}" in ran.err


def test_data_that_cannot_be_measured_is_not_bad_data(run: Callable[..., Ran], contract: Path, good: Path, monkeypatch: pytest.MonkeyPatch):
    from dagster_contracts.core.verdict import Unmeasured

    monkeypatch.setattr("dagster_contracts.engines.polars.engine.PolarsEngine.measure", lambda *_: Unmeasured("out of memory"))
    ran = run("test", contract, "--data", good, "--format", "json")
    assert (ran.code, ran.json["outcome"], ran.json["rows"]) == (2, "inconclusive", None)
    assert "out of memory" in run("test", contract, "--data", good).out


def test_stdout_is_one_json_document_in_a_process_too(run_process: Callable[..., Ran], contract: Path, bad: Path):
    ran = run_process("test", contract, "--data", bad, "--format", "json", PYTHONIOENCODING="ascii")
    assert (ran.code, ran.err) == (1, "")
    assert json.loads(ran.out)["outcome"] == "fail"
    assert run_process("test", contract, "--data", "nowhere.csv", "--format", "json").out == ""


def test_a_bound_keeps_the_digits_that_a_float_does_not(run: Callable[..., Ran], contract: Path, tmp_path: Path):
    """In the verdict, in `diff`, and where two versions differ in these digits alone."""
    bound, later = "12345678901234567890.12", tmp_path / "later.odcs.yaml"
    rule = f"logicalType: number\n        logicalTypeOptions: {{maximum: {bound}}}"
    contract.write_text(CONTRACT.replace("logicalType: integer", rule))
    later.write_text(contract.read_text().replace(bound, "12345678901234567890.11").replace("version: 1.2.0", "version: 1.3.0"))
    data = tmp_path / "long.csv"
    for value, code in ((bound, 0), ("12345678901234567890.13", 1)):
        data.write_text(f"customer_id,risk_indicator\n{value},HIGH_RISK\n")
        ran = run("test", contract, "--data", data, "--format", "json")
        (found,) = [each for each in ran.json["findings"] if each["rule"] == "customer_id.maximum"]
        assert (ran.code, found["expected"]) == (code, f"at most {bound}")
    told = run("diff", contract, later).out
    assert all(f"at most {each}" in told for each in (bound, "12345678901234567890.11"))


# --- slips ---------------------------------------------------------------------------------------------------------

SLIPS = """\
apiVersion: v3.2.0
kind: DataContract
id: o
version: 1.0.0
status: active
schema:
- name: o
  properties:
  - {name: day, logicalType: date, logicalTypeOptions: {format: FORMAT}}
  - {name: amount, logicalType: number, quality: [RULE]}
- {name: p, properties: [{name: day, logicalType: date}]}
slaProperties: [LEVEL]
"""
RIGHT = {"FORMAT": "dd/MM/yyyy", "RULE": "{metric: nullValues, mustBe: 0}", "LEVEL": "{property: frequency, value: daily, element: o}"}
GX = "{type: custom, engine: gx, implementation: {type: %s, kwargs: {%s: 1, min_value: 0}}}"
BETWEEN = "expect_column_values_to_be_between"
SQL = "{type: sql, mustBe: 0, query: 'SELECT count(*) FROM %s'}"
DRIFT = "{type: custom, engine: dagster-contracts, implementation: {metric: psi, reference: {lastGood: 7}, mustBeLessThan: %s}}"


def slips(run: Callable[..., Ran], folder: Path, **given: str) -> tuple[int, list[str], list[str]]:
    """Exit code with --strict, problems and warnings, notes."""
    text = SLIPS
    for key, value in {**RIGHT, **given}.items():
        text = text.replace(key, value)
    (folder / "o.odcs.yaml").write_text(text)
    ran = run("lint", folder, "--strict", "--format", "json")
    (linted,) = ran.json["contracts"]
    told = [*ran.json["problems"], *ran.json["warnings"]]
    return ran.code, [f"{problem['path']}: {problem['message']}" for problem in told], linted["notes"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"LEVEL": "{property: latency, value: 1, unit: d, element: oo}"}, ("slaProperties[0].element", 'did you mean "o"?')),
        ({"LEVEL": "{property: frequency, value: daily, element: oo}"}, ("slaProperties[0].element", 'did you mean "o"?')),
        ({"LEVEL": "{property: endOfLife, value: '2032-01-01', element: 'p, oo'}"}, ("element", 'did you mean "o"?')),
        ({"LEVEL": "{property: availability, value: 99, element: o.dya}"}, ("names no property of o", 'did you mean "day"?')),
        ({"LEVEL": "{property: frequncy, value: daily}"}, ("slaProperties[0].property", 'did you mean "frequency"?')),
        ({"LEVEL": "{property: frequency, value: dialy}"}, ("slaProperties[0].value", "is no duration", 'did you mean "daily"?')),
        ({"LEVEL": "{property: retention, value: 1, unit: dayz, element: o.day}"}, ("is no duration", 'did you mean "day"?')),
        ({"LEVEL": "{property: timeOfAvailability, value: noon}"}, ("is no time of day",)),
        ({"LEVEL": "{property: endOfLife, value: '2032-13-01'}"}, ("is no date or timestamp",)),
        ({"FORMAT": "DD/MM/YYYY"}, ("properties[0].logicalTypeOptions.format", 'did you mean "dd/MM/yyyy"?')),
        ({"FORMAT": "dd/mm/yyyy"}, ('did you mean "dd/MM/yyyy"?',)),
        ({"FORMAT": "'%d.%m.%Y'"}, ('did you mean "dd.MM.yyyy"?',)),
        ({"RULE": "{type: custom, engine: dagster-contract, implementation: {metric: mean}}"}, ('"dagster-contracts"?',)),
        ({"RULE": "{type: custom, engine: greatExpectation, implementation: x}"}, ('"greatExpectations"?',)),
        ({"RULE": GX % (BETWEEN, "mosty")}, ('did you mean "mostly"?',)),
        ({"RULE": GX % ("expect_column_values_to_be_betwen", "mostly")}, (f'did you mean "{BETWEEN}"?',)),
        ({"RULE": SQL % "{object} WHERE amuont > 3"}, ('"amuont"', 'did you mean "amount"?')),
        ({"RULE": SQL % "o AS x JOIN p USING (day) WHERE x.amont > 3"}, ('"amont"', 'did you mean "amount"?')),
        ({"RULE": SQL % "orderz"}, ("there is no table orderz here; there is o, p",)),
        ({"RULE": DRIFT % -1}, ("mustBeLessThan -1 never holds",)),
        ({"RULE": "{metric: nullValues, mustBeLessThan: 0}"}, ("mustBeLessThan 0 never holds",)),
        ({"RULE": "{metric: nullValues, mustBeGreaterOrEqualTo: 0}"}, ("always holds",)),
        ({"RULE": "{metric: nullValues, mustBeGreaterThan: 100, unit: percent}"}, ("mustBeGreaterThan 100% never holds",)),
    ],
)
def test_a_slip_is_a_problem(run: Callable[..., Ran], tmp_path: Path, given: dict[str, str], told: tuple[str, ...]):
    code, problems, _ = slips(run, tmp_path, **given)
    assert code == 1
    (only,) = problems
    assert [part for part in told if part not in only] == [], only


@pytest.mark.parametrize(
    ("given", "noted"),
    [
        ({}, None),
        ({"LEVEL": "{property: latency, value: 1, unit: d, element: 'o.day, p.day'}"}, None),
        ({"LEVEL": "{property: serviceHours, value: office}"}, None),
        ({"LEVEL": "{property: generalAvailability, value: Available 24/7}"}, None),
        ({"FORMAT": "MM/yyyy"}, None),
        ({"FORMAT": '"dd/MM/yyyy[ HH:mm]"'}, None),
        ({"RULE": "{type: custom, engine: soda, implementation: x}"}, None),
        ({"RULE": GX % ("expect_feed_to_be_fine", "mosty")}, "Great Expectations has no expect_feed_to_be_fine"),
        ({"RULE": SQL % "o WHERE weight > 3"}, 'the column "weight", which the contract does not know'),
        ({"RULE": SQL % "(SELECT amount AS amuont FROM o) WHERE amuont > 3"}, None),
        ({"RULE": "{metric: rowCount, mustBeGreaterOrEqualTo: 0}"}, None),
        ({"RULE": "{metric: nullValues, mustBe: 0, severity: critcal}"}, 'did you mean "critical"?'),
        ({"RULE": "{metric: nullValues, mustBe: 0, severity: P1}"}, None),
    ],
)
def test_what_may_be_meant_is_no_problem(run: Callable[..., Ran], tmp_path: Path, given: dict[str, str], noted: str | None):
    code, problems, notes = slips(run, tmp_path, **given)
    assert (code, problems) == (0, [])
    assert len(notes) == (noted is not None)
    assert noted is None or noted in notes[0]


def test_a_consumer_that_is_nearly_an_asset_of_the_contracts_is_warned_of(run: Callable[..., Ran], contract: Path, tmp_path: Path):
    other = tmp_path / "scores.odcs.yaml"
    other.write_text(
        contract.read_text()
        .replace("name: feed", "name: fraud_scores")
        .replace("vendor/feed", "fraud_scores")
        .replace("id: vendor-feed", "id: scores")
    )
    named = contract.read_text()
    assert "circuitBreaker" in named
    contract.write_text(named.replace("cooldown:", "consumers: [{asset: fraud_score, fallback: halt}]\n      cooldown:"))
    ran = run("lint", contract, other, "--format", "json")
    assert ran.json["problems"] == []
    told = [warning["message"] for warning in ran.json["warnings"]]
    assert told == ['the consumer "fraud_score" is no asset that is known here, did you mean "fraud_scores"?']


def test_lint_tells_of_two_contracts_of_one_asset(run: Callable[..., Ran], contract: Path, tmp_path: Path) -> None:
    def told(text: str, other: str) -> tuple[list[str], list[str]]:
        contract.write_text(text)
        (tmp_path / "other.odcs.yaml").write_text(other)
        found = run("lint", tmp_path, "--format", "json").json
        return [each["message"] for each in found["problems"]], [each["message"] for each in found["warnings"]]

    own = "dagster-contracts-test/feed"
    head = "apiVersion: v3.1.0\nkind: DataContract\nid: {}\nversion: {}\nstatus: active\nschema:\n- name: feed\n"
    tail = "  properties:\n  - {name: id, logicalType: integer}\n"
    asset = f"  customProperties: [{{property: dagsterAsset, value: {own}}}]\n"
    one, another, later = (head.format(*of) for of in (("one", "1.0.0"), ("another", "1.0.0"), ("one", "1.1.0")))
    problems, (warning,) = told(one + tail, another + tail)
    assert (problems, 'asset "feed" would be governed twice in one code location' in warning) == ([], True)
    (problem,), warnings = told(one + asset + tail, another + asset + tail)
    assert (f'asset "{own}" is governed twice, also by object "feed" of contract ' in problem, warnings) == (True, [])
    assert told(one + asset + tail, another + asset.replace(own, "b/feed") + tail) == ([], [])
    assert told(one + asset + tail, later + asset + tail) == ([], [])


# --- waivers and environments --------------------------------------------------------------------------------------


def waiving(until: str, rule: str = "risk_indicator.invalidValues") -> str:
    value = f"[{{rule: {rule}, until: '{until}', reason: r, approvedBy: a}}]"
    return f"{CONTRACT}  - {{property: waivers, value: {value}}}\n  - {{property: environments, value: {{dev: warn}}}}\n"


def test_lint_tells_of_waivers_that_last_too_long_or_are_of_no_rule(run: Callable[..., Ran], contract: Path) -> None:
    contract.write_text(waiving("2999-01-01"))
    ran = run("lint", contract)
    assert (ran.code, "more than 90 days ahead" in ran.out) == (1, True)
    assert ran.out.endswith("0 valid contracts, 1 problem\n")
    contract.write_text(waiving("2020-01-01", "risk_indicator.invalidValue"))
    ran = run("lint", contract)
    assert (ran.code, 'did you mean "risk_indicator.invalidValues"?' in ran.out) == (1, True)
    contract.write_text(waiving("2020-01-01"))  # over, and harmless
    ran = run("lint", contract)
    assert (ran.code, "risk_indicator.invalidValues ended on 2020-01-01" in ran.out, "can be deleted" in ran.out) == (0, True, True)
    (linted,) = run("lint", contract, "--format", "json").json["contracts"]
    assert len(linted["notes"]) == 1


def test_a_waiver_or_an_environment_lets_data_pass(
    run: Callable[..., Ran], contract: Path, bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract.write_text(waiving("2026-01-31"))
    arguments = ("test", contract, "--data", bad, "--format", "json")
    found = run(*arguments, "--as-of", "2026-01-31T12:00:00Z")
    assert found.code == 0
    assert_described("test", found.json)
    assert [each["waived"]["until"] for each in found.json["findings"] if each["waived"]] == ["2026-01-31"]
    assert run(*arguments, "--as-of", "2026-02-01T12:00:00Z").code == 1
    assert run(*arguments, "--as-of", "2026-02-01T12:00:00Z", "--environment", "dev").code == 0
    monkeypatch.setenv("CONTRACTS_ENVIRONMENT", "dev")
    assert run(*arguments, "--as-of", "2026-02-01T12:00:00Z").code == 0
