"""One mock cluster for all tests of this folder: topics are fresh, brokers need not be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.streaming.lab import Cluster, mock_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("confluent_kafka", reason="confluent-kafka, of the extra kafka, is not installed")
    with mock_cluster() as found:
        yield found
