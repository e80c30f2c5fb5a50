"""Objects of S3, or of what speaks its protocol. Where and as whom is read from the environment, as the AWS tools do:

AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL   another service than AWS (MinIO, Ceph, ...); http:// is allowed where it is written so
AWS_REGION, AWS_DEFAULT_REGION          default us-east-1
AWS_ACCESS_KEY_ID, AWS_PROFILE, ...     whatever boto3 finds: keys, profiles, roles
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

SCHEME = "s3://"
_PATIENCE = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 3, "mode": "standard"}}  # seconds


@dataclass(frozen=True, slots=True)
class Object:
    """One object as it was listed."""

    bucket: str
    key: str
    size: int  # bytes
    etag: str
    modified: datetime  # aware UTC

    @property
    def address(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


def client() -> Any:
    """A client for one read; threads may share it."""
    import boto3
    from botocore.config import Config

    endpoint = _endpoint()
    return boto3.client("s3", endpoint_url=endpoint, region_name=_region(), config=Config(**_PATIENCE))


def storage_options() -> dict[str, str]:
    """What Polars needs to know beside the credentials, which it takes from boto3."""
    options = {"aws_region": _region()}
    if (endpoint := _endpoint()) is not None:
        options["aws_endpoint_url"] = endpoint
        if endpoint.startswith("http://"):
            options["aws_allow_http"] = "true"
    return options


def split(address: str) -> tuple[str, str]:
    """Bucket, and key or prefix ("" for the whole bucket)."""
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    return bucket, key


def found(connection: Any, bucket: str, key: str) -> Object | None:
    """The object of exactly this key, None where there is none. Raises what botocore raises for everything else."""
    from botocore.exceptions import ClientError

    try:
        head = connection.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
            return None
        raise
    return Object(bucket, key, head["ContentLength"], head["ETag"], head["LastModified"])


def listed(connection: Any, bucket: str, prefix: str) -> Iterator[Object]:
    """Objects below a prefix, by key. The empty ones that consoles put in place of folders are left out."""
    for page in connection.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            if not (entry["Key"].endswith("/") and entry["Size"] == 0):
                yield Object(bucket, entry["Key"], entry["Size"], entry["ETag"], entry["LastModified"])


def fetch(connection: Any, entry: Object, into: IO[bytes]) -> None:
    """Copy an object, as it was listed: one that was replaced since then is refused by the service (412)."""
    body = connection.get_object(Bucket=entry.bucket, Key=entry.key, IfMatch=entry.etag)["Body"]
    with body:
        shutil.copyfileobj(body, into, 1 << 20)
    into.seek(0)


def _endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
