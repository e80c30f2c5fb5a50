"""What no row can be made of is told apart, message by message: nothing stops the stream."""

import pytest

from dagster_contracts.core.errors import UsageError
from dagster_contracts.streaming import StreamGate
from dagster_contracts.streaming.decoding import decoded
from tests.plugin.lab import contract_files, contract_text


@pytest.mark.parametrize(
    "pill", [b"[" * 100_000, b"{" * 100_000, b'{"a":' * 50_000, b"\xff", b"", b"null", b"[1]", b'{"a": NaN}', b'{"a": 1']
)
def test_a_poison_pill_is_broken_and_the_others_are_rows(pill: bytes) -> None:
    found = decoded([b'{"a": 1}', pill, b'{"a": 2}'], ["a"])
    assert (found.frame["a"].to_list(), list(found.rows), list(found.broken)) == ([1, 2], [0, 2], [1])


@pytest.mark.parametrize("name", [5, None, "", "a\0b", "x" * 1001])
def test_a_name_that_cannot_be_is_refused_before_anything_is_judged(tmp_path_factory: pytest.TempPathFactory, name: object) -> None:
    folder = tmp_path_factory.mktemp("stream")
    gate = StreamGate(contract_files(folder / "contracts", contract_text()), f"sqlite:///{folder}/c.db")
    with pytest.raises(UsageError, match="name of the micro-batch"):
        gate.judge([], asset="feed", batch=name)  # type: ignore[arg-type]
