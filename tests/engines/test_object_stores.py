"""Objects of S3, over real sockets: moto's server stands in for the service."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from typing import Any

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from dagster_contracts.core.metrics import Duplicates, Metric, NotIn, Nulls, RowCount
from dagster_contracts.core.verdict import Count, Measurement, Unmeasured
from dagster_contracts.engines.files.engine import FilesEngine
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.ports import FileSet
from tests.engines.sets import picture
from tests.engines.test_sources import Meddled

ENGINE = FilesEngine(LocalEngine())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    found = boto3.resource("s3", endpoint_url=server, region_name="us-east-1").Bucket("feeds")
    found.create()
    yield found
    found.objects.all().delete()
    found.delete()


def parquet(**data: list[object]) -> bytes:
    content = io.BytesIO()
    pl.DataFrame(data).write_parquet(content)
    return content.getvalue()


def measured(data: object, *metrics: Metric) -> Measurement:
    found = ENGINE.measure(data, metrics)
    assert isinstance(found, Measurement), found
    return found


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a/b c.parquet", parquet(id=[1, 1], name=["x", None])),
        ("a.csv", b"id,name\n1,x\n1,\n"),
        ("a.csv.gz", gzip.compress(b"id,name\n1,x\n1,\n", mtime=0)),
        ("a.jsonl", b'{"id": 1, "name": "x"}\n{"id": 1}\n'),
    ],
)
def test_one_object_is_the_table_in_it(bucket: Any, key: str, content: bytes):
    bucket.put_object(Key=key, Body=content)
    found = measured(f"s3://feeds/{key}", Nulls("name"), Duplicates(("id",)))
    assert (found.rows, list(found.values.values())) == (2, [Count(1), Count(1)])


@pytest.mark.parametrize("place", ["s3://feeds/table", "s3://feeds/table/", "s3://feeds/table/*.parquet", "s3://feeds"])
def test_a_prefix_of_parquet_is_one_table(bucket: Any, place: str):
    for day in (1, 2):
        bucket.put_object(Key=f"table/day={day}/part.parquet", Body=parquet(a=[day]))
    bucket.put_object(Key="table/", Body=b"")
    bucket.put_object(Key="table/_SUCCESS", Body=b"")
    found = measured(place, NotIn("day", ("1",)))
    assert (found.rows, found.values) == (2, {NotIn("day", ("1",)): Count(1)})


def test_every_other_prefix_is_a_set_of_files(bucket: Any):
    bucket.put_object(Key="photos/a.png", Body=picture())
    bucket.put_object(Key="photos/sub/big.jpg", Body=picture("JPEG", (3000, 3000))[:-200])  # more than is kept in memory
    bucket.put_object(Key="photosphere.txt", Body=b"another prefix")
    found = measured("s3://feeds/photos", NotIn("decodable", (True,)), NotIn("path", ("a.png", "sub/big.jpg")), Nulls("sha256"))
    assert (found.rows, list(found.values.values())) == (2, [Count(1), Count(0), Count(0)])
    assert measured(FileSet("s3://feeds/photos/a.png"), NotIn("path", ("a.png",))).values == {NotIn("path", ("a.png",)): Count(0)}
    assert measured(["s3://feeds/photos/a.png", "s3://feeds/photosphere.txt"], NotIn("path", ("photos/a.png", "photosphere.txt"))).rows == 2


def test_an_empty_prefix_is_no_files_where_it_is_meant(bucket: Any):
    assert measured(FileSet("s3://feeds/nothing/")).rows == 0
    assert "s3://feeds/nothing/: there is no file in it" in unmeasured("s3://feeds/nothing/")
    assert "s3://feeds/x*.csv: no file is called like that" in unmeasured("s3://feeds/x*.csv")
    assert "no such object, and none below it" in unmeasured("s3://feeds/nothing")
    assert "no such object" in unmeasured("s3://feeds/nothing.csv")


def unmeasured(place: object) -> str:
    found = ENGINE.measure(place, [RowCount()])
    assert isinstance(found, Unmeasured), found
    return f"{found.reason} {found.detail}"


def test_what_cannot_be_reached_says_so(bucket: Any, monkeypatch: pytest.MonkeyPatch):
    assert "s3://absent/a.csv" in unmeasured("s3://absent/a.csv")
    assert "names no bucket" in unmeasured("s3://")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("dagster_contracts.engines.files.s3._PATIENCE", {"connect_timeout": 1, "retries": {"max_attempts": 0}})
    assert "cannot be read from S3 (EndpointConnectionError)" in unmeasured("s3://feeds/a.csv")


@pytest.mark.parametrize(("key", "content"), [("a.parquet", parquet(a=[1])), ("a.csv", b"a\n1\n"), ("set/a.png", picture())])
@pytest.mark.parametrize("deed", ["replaced", "deleted"])
def test_an_object_that_changes_while_it_is_read_says_nothing(bucket: Any, key: str, content: bytes, deed: str):
    bucket.put_object(Key=key, Body=content)

    def meddle() -> None:
        bucket.put_object(Key=key, Body=content + b" ") if deed == "replaced" else bucket.Object(key).delete()

    place = "s3://feeds/set/" if key.startswith("set") else f"s3://feeds/{key}"
    found = FilesEngine(Meddled(meddle)).measure(place, [RowCount()])
    assert isinstance(found, Unmeasured)
    assert found.reason.startswith("the file changed while it was read: s3://feeds/")


@pytest.mark.parametrize(
    ("key", "content"), [("torn.parquet", parquet(a=[1])[:-9]), ("torn.csv.gz", gzip.compress(b"a\n1\n", mtime=0)[:-9]), ("e.csv", b"")]
)
def test_damaged_objects_are_not_measured(bucket: Any, key: str, content: bytes):
    bucket.put_object(Key=key, Body=content)
    assert unmeasured(f"s3://feeds/{key}").startswith(f"s3://feeds/{key}: ")
