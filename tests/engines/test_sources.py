"""Places of data: what is a table and what is a set of files, what changes while it is read, what cannot be measured here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.metrics import Duplicates, LengthOutside, Metric, NotIn, Nulls, OutOfRange, RowCount
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.verdict import Count, Measurement, NotApplicable, Outcome, Sample, Unmeasured, Verdict
from dagster_contracts.engines.files import documents
from dagster_contracts.engines.files import engine as sources
from dagster_contracts.engines.files.engine import FilesEngine
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.measuring import take
from dagster_contracts.ports import NO_OTHERS, FileSet, Related
from tests.engines.sets import ENGLISH, GERMAN, picture, write

ENGINE = FilesEngine(LocalEngine())
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def measured(data: object, *metrics: Metric) -> Measurement:
    found = ENGINE.measure(data, metrics)
    assert isinstance(found, Measurement), found
    return found


def reason(data: object, *metrics: Metric) -> str:
    found = ENGINE.measure(data, metrics or (RowCount(),))
    assert isinstance(found, Unmeasured), found
    return found.reason


def columns(data: object) -> list[str]:
    return [column.name for column in measured(data).columns]


def parquet(path: Path, **data: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(data).write_parquet(path)
    return path


# --- table or files ------------------------------------------------------------------------------------------------------


def test_one_file_is_the_table_in_it(tmp_path: Path):
    write(tmp_path, a__csv=b"id,name\n1,x\n2,\n")
    found = measured(tmp_path / "a.csv", Nulls("name"), Duplicates(("id",)))
    assert (found.rows, list(found.values.values())) == (2, [Count(1), Count(0)])


def test_a_folder_of_parquet_is_one_table_with_the_names_of_its_folders(tmp_path: Path):
    for day in (1, 2):
        parquet(tmp_path / f"out=9/table/day=2026-01-0{day}/part.parquet", a=[day, None])
    parquet(tmp_path / "out=9/table/_temporary/0/part.parquet", a=[9])
    parquet(tmp_path / "out=9/table/day=__HIVE_DEFAULT_PARTITION__/part.parquet", a=[3])
    (tmp_path / "out=9/table/_SUCCESS").touch()
    found = measured(tmp_path / "out=9/table", Nulls("a"), Nulls("day"), NotIn("day", ("2026-01-01",)))
    assert [column.name for column in found.columns] == ["a", "day"]
    assert (found.rows, list(found.values.values())) == (5, [Count(2), Count(1), Count(2)])


@pytest.mark.parametrize("place", [lambda folder: folder / "*.parquet", lambda folder: [folder / "b.parquet", folder / "a.parquet"]])
def test_several_parquet_files_are_one_table(tmp_path: Path, place: Callable[[Path], object]):
    for name in ("a", "b", "c"):
        parquet(tmp_path / f"{name}.parquet", n=[1])
    assert columns(place(tmp_path)) == ["n"]
    assert measured(place(tmp_path)).rows == (3 if isinstance(place(tmp_path), Path) else 2)


@pytest.mark.parametrize("other", ["b.csv", "notes.txt", "sub/deep.png"])
def test_every_other_set_is_a_table_of_its_files(tmp_path: Path, other: str):
    parquet(tmp_path / "a.parquet", n=[1])
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_bytes(b"x")
    found = measured(tmp_path, OutOfRange("size", minimum=2))
    assert (found.rows, found.values) == (2, {OutOfRange("size", minimum=2): Count(1)})
    assert [column.name for column in found.columns] == list(documents.COLUMNS)


def test_a_contract_over_files_measures_the_files_themselves(tmp_path: Path):
    parquet(tmp_path / "set/a.parquet", n=[1])
    write(tmp_path, a__csv="naïve\n".encode("cp1252"))
    assert columns(FileSet(tmp_path / "set")) == columns(FileSet(tmp_path / "a.csv")) == list(documents.COLUMNS)
    assert measured(FileSet(tmp_path / "a.csv"), NotIn("encoding", ("utf-8",))).values == {NotIn("encoding", ("utf-8",)): Count(1)}
    assert measured(FileSet([])).rows == measured(FileSet(())).rows == 0


def test_paths_of_a_list_are_told_from_the_folder_they_share(tmp_path: Path):
    write(tmp_path, x___a__txt=b"", y___a__txt=b"", y___z___b__txt=b"")
    given = [tmp_path / "x/a.txt", tmp_path / "y", tmp_path / "y/a.txt"]
    with sources.opened(given) as source:
        assert source.frame.select("path").collect()["path"].to_list() == ["x/a.txt", "y/a.txt", "y/z/b.txt"]


def test_data_that_is_no_place_is_left_to_the_engine(tmp_path: Path):
    frame = pl.DataFrame({"a": [1, None]})
    for data in (frame, frame.lazy(), FileSet(frame)):
        assert measured(data, Nulls("a")).values == {Nulls("a"): Count(1)}
    write(tmp_path, a__csv=b"id\n1\n")
    assert "builtins.str" in reason(str(tmp_path / "a.csv"))
    assert "builtins.list" in reason([])


def test_another_object_of_the_contract_may_lie_in_files(tmp_path: Path):
    write(tmp_path, a__csv=b"id\n1\n")
    seen: list[object] = []

    class Inner:
        def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement:
            seen.extend(load().collect().rows() for load in related.values())  # type: ignore[attr-defined]
            return Measurement(0, (), {})

        def samples(
            self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS
        ) -> Mapping[Metric, Sample]:
            return {}

        def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> None:
            return None

    FilesEngine(Inner()).measure(pl.DataFrame(), [], {"customers": lambda: tmp_path / "a.csv"})
    assert seen == [[("1",)]]


def test_files_are_not_divided(tmp_path: Path):
    write(tmp_path, a__csv=b"id\n1\n\n")
    assert ENGINE.divide(tmp_path / "a.csv", {"rule": Nulls("id")}) is None
    assert ENGINE.divide(pl.DataFrame({"id": [1, None]}), {"rule": Nulls("id")}) is not None


# --- what changes while it is read ---------------------------------------------------------------------------------------


class Meddled:
    """An engine during whose work something happens to the data."""

    def __init__(self, deed: Callable[[], object]):
        self.deed = deed

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        found = LocalEngine().measure(data, metrics, related)
        self.deed()
        return found

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        return {}

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> None:
        return None


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize(
    ("deed", "told"),
    [
        (lambda path: path.write_bytes(b"id,x\n1,22\n"), "the file changed while it was read: "),
        (lambda path: path.unlink(), "the file changed while it was read: "),
        (
            lambda path: (path.with_suffix(".new").write_bytes(path.read_bytes()), path.with_suffix(".new").replace(path)),
            "the file changed",
        ),
    ],
)
def test_a_file_that_changes_while_it_is_read_says_nothing(tmp_path: Path, deed: Callable[[Path], object], told: str, single: bool):
    file = write(tmp_path, a__csv=b"id,x\n1,2\n") / "a.csv"
    found = FilesEngine(Meddled(lambda: deed(file))).measure(file if single else tmp_path, [RowCount()])
    assert isinstance(found, Unmeasured)
    assert found.reason.startswith(told)
    assert "a.csv" in found.reason


def test_a_file_that_comes_meanwhile_counts_too_and_a_still_folder_is_measured(tmp_path: Path):
    write(tmp_path, a__txt=b"a")
    assert isinstance(FilesEngine(Meddled(lambda: None)).measure(tmp_path, [RowCount()]), Measurement)
    found = FilesEngine(Meddled(lambda: write(tmp_path, b__txt=b"b", c__txt=b"c"))).measure(tmp_path, [RowCount()])
    assert isinstance(found, Unmeasured)
    assert found.reason.startswith("2 files changed while they were read: ")


# --- what cannot be measured here ----------------------------------------------------------------------------------------


def test_rules_that_need_a_missing_library_are_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, a__png=picture())
    metrics = (OutOfRange("width", minimum=1), OutOfRange("size", minimum=1), NotIn("decodable", (True,)))
    assert set(measured(tmp_path, *metrics).values.values()) == {Count(0)}
    monkeypatch.setattr(documents, "find_spec", lambda name: None if name == "PIL" else object())
    found = measured(tmp_path, *metrics)
    assert found.values[metrics[1]] == Count(0)
    for metric, column in ((metrics[0], "width"), (metrics[2], "decodable")):
        assert found.values[metric] == NotApplicable(f"{column} of files needs PIL: pip install 'dagster-contracts[files]'")
    assert {column.name for column in found.columns} == set(documents.COLUMNS)


def test_without_the_extra_files_are_measured_by_what_is_there(tmp_path: Path):
    write(tmp_path, a__png=picture())
    program = f"""
import sys
for name in ("PIL", "charset_normalizer", "py3langid"):
    sys.modules[name] = None  # as if it were not installed
from pathlib import Path
from dagster_contracts.core.metrics import Nulls, OutOfRange
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.engines.files.engine import FilesEngine
metrics = [OutOfRange("size", minimum=1), Nulls("sha256"), Nulls("width"), Nulls("encoding"), Nulls("language")]
print([type(value).__name__ for value in FilesEngine(LocalEngine()).measure(Path({str(tmp_path)!r}), metrics).values.values()])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['Count', 'Count', 'NotApplicable', 'NotApplicable', 'NotApplicable']\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [("absent.csv", "no such file or folder"), ("absent", "no such file or folder"), ("a.png", "`physicalType: files`")],
)
def test_a_place_that_is_none_says_so(tmp_path: Path, name: str, told: str):
    write(tmp_path, a__png=picture())
    assert told in reason(tmp_path / name)


def test_a_folder_of_parquet_of_different_columns_is_not_measured(tmp_path: Path):
    parquet(tmp_path / "a.parquet", n=[1])
    parquet(tmp_path / "b.parquet", m=["x"])
    found = ENGINE.measure(tmp_path, [Nulls("n")])
    assert isinstance(found, Unmeasured) or isinstance(found.values[Nulls("n")], Unmeasured)


# --- from contract to verdict --------------------------------------------------------------------------------------------

IMAGES = """
apiVersion: v3.1.0
kind: DataContract
id: product-photos
version: 1.0.0
status: active
schema:
  - name: photos
    physicalType: files
    properties:
      - {name: path, logicalType: string, required: true}
      - {name: size, logicalType: integer, required: true, logicalTypeOptions: {minimum: 500, maximum: 5000000}}
      - {name: mime_type, logicalType: string, required: true, logicalTypeOptions: {pattern: "^image/(png|jpeg)$"}}
      - {name: width, logicalType: integer, required: true, logicalTypeOptions: {minimum: 20}}
      - name: decodable
        logicalType: boolean
        required: true
        quality:
          - {type: library, metric: invalidValues, arguments: {validValues: [true]}, mustBe: 0}
      - {name: sha256, logicalType: string, unique: true}
"""
TEXTS = """
apiVersion: v3.1.0
kind: DataContract
id: reviews
version: 1.0.0
status: active
schema:
  - name: reviews
    physicalType: Files
    properties:
      - {name: encoding, logicalType: string, required: true, logicalTypeOptions: {pattern: "^utf-8$"}}
      - name: language
        logicalType: string
        required: true
        quality:
          - {type: library, metric: invalidValues, arguments: {validValues: [en]}, mustBeLessOrEqualTo: 50, unit: percent}
      - {name: words, logicalType: integer, logicalTypeOptions: {minimum: 5}}
"""


def verdict(contract: str, data: object) -> Verdict:
    parsed = parse(contract)
    taken = take(ENGINE, compile_plan(parsed, parsed.objects[0]), parsed.policy, data)
    from dagster_contracts.core.ledger import UNPARTITIONED

    return taken.verdict(UNPARTITIONED, as_of=NOW, head=True)


def test_a_folder_of_images_passes_and_each_flaw_fails_its_rule(tmp_path: Path):
    good = write(tmp_path / "good", a__png=picture(), b__jpg=picture("JPEG"))
    judged = verdict(IMAGES, good)
    assert (judged.outcome, judged.rows, judged.not_executed) == (Outcome.PASS, 2, ())
    png = picture()
    flaws = write(tmp_path / "bad", a__png=png, twin__png=png, cut__jpg=picture("JPEG")[:-90], tiny__png=picture(size=(5, 5)), no__png=b"")
    judged = verdict(IMAGES, flaws)
    failing = {finding.rule: finding.failing_rows for finding in judged.findings if finding.outcome is Outcome.FAIL}
    assert failing == {
        "size.minimum": 2,
        "mime_type.pattern": 1,
        "width.minimum": 1,
        "width.required": 1,
        "decodable.invalidValues": 2,
        "sha256.unique": 1,
    }
    (found,) = [finding for finding in judged.findings if finding.rule == "decodable.invalidValues"]
    assert [row["path"] for row in found.sample] == ["cut.jpg", "no.png"]


def test_a_text_corpus_is_judged_by_encoding_and_language(tmp_path: Path):
    good = write(tmp_path / "good", a__txt=ENGLISH.encode(), b__txt=(ENGLISH * 3).encode())
    assert verdict(TEXTS, good).outcome is Outcome.PASS
    bad = write(tmp_path / "bad", a__txt=ENGLISH.encode(), b__txt=GERMAN.encode("cp1252") * 4, c__txt=GERMAN.encode(), d__txt=b"short")
    failing = {finding.rule for finding in verdict(TEXTS, bad).findings if finding.outcome is Outcome.FAIL}
    assert failing == {"encoding.pattern", "language.invalidValues", "words.minimum"}


def test_a_batch_of_no_files_fails_unless_the_contract_allows_it(tmp_path: Path):
    judged = verdict(IMAGES, tmp_path)
    assert (judged.rows, judged.outcome) == (0, Outcome.FAIL)


def test_files_out_of_reach_are_inconclusive(tmp_path: Path):
    judged = verdict(IMAGES, tmp_path / "absent")
    assert (judged.rows, judged.outcome) == (None, Outcome.INCONCLUSIVE)
    assert "no such file or folder" in judged.findings[0].observed


def test_samples_compute_nothing_that_no_rule_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, a__txt=GERMAN.encode())
    monkeypatch.setattr(documents.texts, "language", lambda text: pytest.fail("a language was told"))
    found = ENGINE.samples(FileSet(tmp_path), [LengthOutside("encoding", maximum=1)])
    assert [row.keys() for row in found[LengthOutside("encoding", maximum=1)].rows] == [{"path", "size", "encoding"}]
