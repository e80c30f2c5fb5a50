"""`test` on folders, lists, globs and files that are strange."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import Ran
from tests.engines.sets import picture, write
from tests.engines.test_sources import IMAGES


@pytest.fixture
def images(tmp_path: Path) -> Path:
    file = tmp_path / "images.odcs.yaml"
    file.write_text(IMAGES)
    return file


def test_a_folder_of_images(run: Callable[..., Ran], images: Path, tmp_path: Path):
    folder = write(tmp_path / "set", a__png=picture(), b__jpg=picture("JPEG"))
    ran = run("test", images, "--data", folder)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"pass  {folder} against product-photos 1.0.0; 2 rows; ")
    write(folder, c__jpg=picture("JPEG")[:-90])
    ran = run("test", images, "--data", folder)
    assert ran.code == 1
    assert '  decodable=false  path="c.jpg"' in ran.out


@pytest.mark.parametrize("given", [["a.png", "b.jpg"], ["*.[jp][pn]g"]])
def test_a_list_and_a_glob(run: Callable[..., Ran], images: Path, tmp_path: Path, given: list[str]):
    write(tmp_path, a__png=picture(), b__jpg=picture("JPEG"), c__txt=b"no image")
    ran = run("test", images, *[word for name in given for word in ("--data", tmp_path / name)], "--format", "json")
    assert (ran.code, ran.json["rows"]) == (0, 2)


def test_a_folder_of_parquet_is_one_table(run: Callable[..., Ran], contract: Path, tmp_path: Path):
    for part in ("a", "b"):
        (tmp_path / "table").mkdir(exist_ok=True)
        pl.DataFrame({"customer_id": [ord(part)], "risk_indicator": ["LOW_RISK"]}).write_parquet(tmp_path / f"table/{part}.parquet")
    ran = run("test", contract, "--data", tmp_path / "table", "--format", "json")
    assert (ran.code, ran.json["rows"], ran.json["outcome"]) == (0, 2, "pass")


def test_an_empty_folder_fails_and_an_absent_one_is_exit_2(run: Callable[..., Ran], images: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    ran = run("test", images, "--data", tmp_path / "empty", "--format", "json")
    assert (ran.code, ran.json["rows"]) == (1, 0)
    ran = run("test", images, "--data", tmp_path / "absent")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: {tmp_path}/absent: no such file or folder\n"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["x*.csv"], "x*.csv: no file is called like that"),
        (["good.csv", "x*.csv"], "x*.csv: no file is called like that"),
        (["empty"], "empty: there is no file in it"),
        (["empty", "nil"], "empty: there is no file in it"),
    ],
)
def test_nowhere_is_no_batch_of_a_table(run: Callable[..., Ran], contract: Path, images: Path, tmp_path: Path, given: list[str], told: str):
    for name in ("empty", "nil"):
        (tmp_path / name).mkdir()
    (tmp_path / "good.csv").write_text("customer_id,risk_indicator\n1,LOW_RISK\n")
    data = [word for name in given for word in ("--data", tmp_path / name)]
    ran = run("test", contract, *data)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {tmp_path}/{told}; ")
    assert run("test", images, *data).code == 1  # of files that is a set like any other


def test_a_bucket_out_of_reach_is_exit_2(run: Callable[..., Ran], images: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("dagster_contracts.engines.files.s3._PATIENCE", {"connect_timeout": 1, "retries": {"max_attempts": 0}})
    ran = run("test", images, "--data", "s3://feeds/photos/")
    assert ran.code == 2
    assert ran.err.startswith("error: s3://feeds/photos/: cannot be read from S3 (EndpointConnectionError)")


def test_failing_rows_of_files_are_json(run: Callable[..., Ran], images: Path, tmp_path: Path):
    write(tmp_path / "set", a__png=b"")
    found = run("test", images, "--data", tmp_path / "set", "--format", "json").json
    samples = {item["rule"]: item["sample"] for item in found["findings"] if item["sample"]}
    assert samples["size.minimum"] == [json.loads(json.dumps(row)) for row in samples["size.minimum"]]
    assert samples["size.minimum"][0]["path"] == "a.png"
