"""A key that nobody reads is refused: the asset that meant to halt would read stale data.

No postponed annotations here: Dagster reads those of assets as they stand.
"""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts import with_contracts
from dagster_contracts.core.errors import ContractError
from dagster_contracts.plugin.unknown_keys import refuse_unknown_keys
from tests.plugin.lab import DAYS, Vendor, a_consumer, a_feed, contract_files, contract_text
from tests.plugin.test_catalog import CONTRACT


def _reader(**options: Any) -> dg.AssetsDefinition:
    @dg.asset(name="reader", partitions_def=DAYS, **options)
    def reader(feed: pd.DataFrame) -> None: ...

    return reader


def _load(folder: Path, *assets: object) -> dg.Definitions:
    return with_contracts(dg.Definitions(assets=[a_feed(Vendor()), *assets]), contract_files(folder, contract_text()))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"metadata": {"contracts/accept": "full"}}, r'metadata contracts/accept, did you mean "contracts/accepts"\?'),
        ({"metadata": {"contracts/Accepts": "full"}}, r'metadata contracts/Accepts, did you mean "contracts/accepts"\?'),
        ({"metadata": {"contracts/resolve": True}}, r'metadata contracts/resolve, did you mean "contracts/resolves"\?'),
        ({"metadata": {"contracts/": "full"}}, "metadata contracts/"),
        ({"tags": {"contracts/accepts": "full"}}, "tag contracts/accepts, say it in the metadata of the asset itself"),
        (
            {"ins": {"feed": dg.AssetIn(metadata={"contracts/accepts": "full"})}},
            'metadata contracts/accepts of its input "feed", say it in the metadata of the asset itself',
        ),
        (
            {"deps": [dg.AssetDep("other", metadata={"contracts/accepts": "full"})]},
            'metadata contracts/accepts of its dependency on "other", say it in the metadata of the asset itself',
        ),
    ],
    ids=["a slip", "another case", "the other key", "nothing near", "a tag", "an input", "a dependency"],
)
def test_a_key_that_nobody_reads(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=rf'asset "reader": nobody reads .*{told}.*contracts/accepts \(full, stale or low'):
        _load(tmp_path, _reader(**options))


def test_all_are_told_at_once(tmp_path: Path) -> None:
    other = dg.AssetSpec("elsewhere", metadata={"contracts/fallbak": "halt"})
    with pytest.raises(ContractError) as caught:
        _load(tmp_path, _reader(metadata={"contracts/accept": "full"}), other)
    assert 'asset "reader": nobody reads its metadata contracts/accept,' in str(caught.value)
    assert 'asset "elsewhere": nobody reads its metadata contracts/fallbak,' in str(caught.value)


def test_keys_of_others_are_none_of_ours(tmp_path: Path) -> None:
    _load(tmp_path, _reader(metadata={"contractsx/accept": "full", "accept": "full", "dagster/uri": "u"}, tags={"team": "contracts"}))


def test_what_stands_on_a_governed_asset_may_be_given_again(tmp_path: Path) -> None:
    """All that a contract puts on the page of its asset; and definitions that are merged with governed ones, or hold assets of theirs."""
    assets = [a_feed(Vendor()), a_consumer("reader", "stale")]
    governed = with_contracts(dg.Definitions(assets=assets), contract_files(tmp_path / "a", CONTRACT))
    given: Any = list(governed.assets or [])
    specs = [spec for item in given for spec in item.specs]
    assert sum(name.startswith("contracts/") for spec in specs for name in (*spec.metadata, *spec.tags)) >= 8
    refuse_unknown_keys(given, specs)
    elsewhere = dg.Definitions(assets=[a_feed(Vendor(), "other"), *(dg.AssetSpec(s.key, metadata=s.metadata, tags=s.tags) for s in specs)])
    with_contracts(elsewhere, contract_files(tmp_path / "b", contract_text("other")))
    dg.Definitions.merge(governed, dg.Definitions(assets=[a_feed(Vendor(), "third")])).get_repository_def()
