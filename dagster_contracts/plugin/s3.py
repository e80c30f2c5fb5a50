"""Frames as Parquet objects on S3, each written on condition that nobody else has written it meanwhile.

seen before the verdict   nothing        -> PutObject with If-None-Match: *
                          an etag        -> PutObject with If-Match: that etag
written                   the etag goes into the ledger as the storage's version; the object's metadata names run and batch
the condition fails       LostWrite, with both runs; nothing is written

No postponed annotations here: Dagster reads those of a resource as they stand.
"""

import io
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import dagster as dg
from dagster_aws.s3 import S3Resource
from pydantic import Field

from dagster_contracts.core.errors import LostWrite, StorageError, StorageUnreachable
from dagster_contracts.plugin import frames
from dagster_contracts.plugin.private import io_contexts, io_managers
from dagster_contracts.plugin.routing import BATCH, REPLACES

if TYPE_CHECKING:
    from upath import UPath

_RUN, _BATCH, _KIND, _WRITE = "dagster-run", "contracts-batch", "frame", "contracts-write"
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_LOST = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
NOTHING = ""  # the version of a place where nothing stands


class S3ParquetIOManager(dg.ConfigurableIOManagerFactory):  # type: ignore[type-arg]
    """pandas, polars and pyarrow frames as Parquet at `s3://bucket/prefix/asset/key/partition.parquet`, written conditionally.

    `s3` is a `dagster_aws.s3.S3Resource`. An input is read as what it is annotated with, without an annotation as what was written;
    several partitions as `dict[str, Frame]` by key, or as one frame. Frames are held in memory, and one object has at most 5 GB.

    Raises LostWrite where another run has written the place since this one looked, StorageUnreachable where S3 does not answer,
    FileNotFoundError where there is no such object. A step that fails so may be retried.
    """

    s3: dg.ResourceDependency[S3Resource]
    bucket: str = Field(description="The bucket.")
    prefix: str = Field(default="dagster", description="What the names of all objects begin with.")

    def create_io_manager(self, context: dg.InitResourceContext) -> "ParquetObjects":
        return ParquetObjects(self.s3.get_client(), self.bucket, self.prefix)


class ParquetObjects(dg.UPathIOManager):
    """One object for each partition."""

    extension = ".parquet"

    def __init__(self, client: Any, bucket: str, prefix: str):
        from upath import UPath

        super().__init__(base_path=UPath(prefix) if prefix else None)
        self._client = client
        self._bucket = bucket

    # --- versions ----------------------------------------------------------------------------------------------------

    def version_in_place(self, context: dg.OutputContext) -> str:
        """The etag of what an output would replace; NOTHING where it is new."""
        return self._version(self._name(context))

    def version_at(self, address: str) -> str | None:
        """The etag of an object now; NOTHING where it is gone; None where the address is of no bucket of this."""
        head = f"s3://{self._bucket}/"
        return self._version(address.removeprefix(head)) if address.startswith(head) else None

    def _version(self, name: str) -> str:
        found = self._head(name)
        return NOTHING if found is None else str(found["ETag"])

    def _head(self, name: str) -> Any:
        try:
            with self._reaching(name):
                return self._client.head_object(Bucket=self._bucket, Key=name)
        except FileNotFoundError:
            return None

    # --- writing -----------------------------------------------------------------------------------------------------

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        name = self._name(context)
        known = context.output_metadata.get(REPLACES)
        replaces = str(getattr(known, "value", known)) if known is not None else self._version(name)
        batch = context.output_metadata.get(BATCH)
        told = {
            _RUN: context.run_id,
            _BATCH: quote(str(getattr(batch, "value", batch or ""))),
            _KIND: frames.kind_of(type(obj)).partition(".")[0],
            _WRITE: uuid.uuid4().hex,
        }
        etag = self._put(name, obj, replaces, told)
        context.add_output_metadata({"uri": dg.MetadataValue.path(self._address(name)), io_contexts.ETAG: etag})

    def _put(self, name: str, obj: Any, replaces: str, told: dict[str, str]) -> str:
        import pyarrow.parquet as pq

        body = io.BytesIO()
        pq.write_table(frames.to_arrow(obj), body)
        condition = {"IfMatch": replaces} if replaces != NOTHING else {"IfNoneMatch": "*"}
        try:
            with self._reaching(name):
                written = self._client.put_object(Bucket=self._bucket, Key=name, Body=body.getvalue(), Metadata=told, **condition)
        except (LostWrite, FileNotFoundError) as error:
            return self._settled(name, replaces, told, error)
        return str(written["ETag"])

    def _settled(self, name: str, replaces: str, told: dict[str, str], error: Exception) -> str:
        """A condition that fails may have failed on our own write, whose answer was lost and which the client then sent again."""
        found = self._head(name)
        theirs = {} if found is None else found["Metadata"]
        if found is not None and theirs.get(_WRITE) == told[_WRITE]:
            return str(found["ETag"])
        who = f"run {theirs.get(_RUN, 'unknown')} (batch {unquote(theirs.get(_BATCH, '')) or 'unknown'})" if found else "somebody"
        did = f"wrote it meanwhile, etag {found['ETag']}" if found else "removed it meanwhile"
        raise LostWrite(
            f"{self._address(name)} was not written by run {told[_RUN]} (batch {unquote(told[_BATCH]) or 'unknown'}): {who} {did}; "
            f"expected {replaces or 'nothing'} there, as before the verdict. What stands there was left alone; run again to replace it."
        ) from error

    # --- reading -----------------------------------------------------------------------------------------------------

    def load_partitions(self, context: dg.InputContext) -> Any:
        keys = list(context.asset_partition_keys)
        found = super().load_partitions(context)
        by_key = found if len(keys) > 1 else {keys[0]: found}
        if frames.is_by_partition(context.dagster_type.typing_type):
            return {key: frame for key, frame in by_key.items() if frame is not None}
        return found if len(keys) == 1 else frames.joined(list(by_key.values())) if by_key else None

    def load_from_path(self, context: dg.InputContext, path: "UPath") -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = path.as_posix()
        with self._reaching(name):
            found = self._client.get_object(Bucket=self._bucket, Key=name)
            body = found["Body"].read()
        kind = frames.kind_of(context.dagster_type.typing_type) or found["Metadata"].get(_KIND, frames.AS_WRITTEN)
        return frames.from_arrow(pq.read_table(pa.BufferReader(body)), kind)

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: "UPath") -> None:
        raise NotImplementedError("handle_output writes")

    # --- shared ------------------------------------------------------------------------------------------------------

    def _name(self, context: dg.OutputContext) -> str:
        places = io_managers.places_of(self, context)
        if len(places) != 1:
            raise StorageError(f"{len(places)} partitions of {context.asset_key.to_user_string()} in one output: run them one by one")
        return places[0].as_posix()

    def _address(self, name: str) -> str:
        return f"s3://{self._bucket}/{name}"

    @contextmanager
    def _reaching(self, name: str) -> Iterator[None]:
        """What the client raises, as what it means."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if code in _ABSENT:
                raise FileNotFoundError(f"{self._address(name)} does not exist") from error
            if code in _LOST:
                raise LostWrite(f"{self._address(name)}: {code}") from error
            kind = StorageUnreachable if status >= 500 else StorageError
            raise kind(f"{self._address(name)}: S3 answered {code} ({status}): {error}") from error
        except BotoCoreError as error:
            raise StorageUnreachable(f"{self._address(name)} cannot be reached: {error}. Nothing was decided; try again.") from error
