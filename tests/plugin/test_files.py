"""An asset that returns where its files lie: judged by what the files are, in real runs."""

from pathlib import Path

import dagster as dg

from dagster_contracts.core.ledger import Status
from dagster_contracts.core.verdict import Outcome
from tests.engines.sets import picture, write
from tests.plugin.lab import DAYS, World, day, governed, value_of

PHOTOS = """\
apiVersion: v3.1.0
kind: DataContract
id: photos
version: 1.0.0
status: active
schema:
- name: photos
  physicalType: files
  properties:
  - name: size
    logicalType: integer
    quality:
    - type: custom
      engine: dagster-contracts
      name: shrunk
      implementation: {metric: belowReference, factor: 0.1, reference: {lastGood: 1}, mustBeLessThan: 50, unit: percent}
  - name: decodable
    logicalType: boolean
    required: true
    quality:
    - {type: library, metric: invalidValues, arguments: {validValues: [true]}, mustBe: 0, severity: critical}
"""


def _photos(root: Path, *, as_list: bool) -> dg.AssetsDefinition:
    @dg.asset(name="photos", partitions_def=DAYS)
    def photos(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        folder = root / context.partition_key
        return sorted(folder.iterdir()) if as_list else folder

    return photos


def _album() -> dg.AssetsDefinition:
    @dg.asset(name="album", partitions_def=DAYS, metadata={"contracts/accepts": "stale"})
    def album(photos) -> str:  # type: ignore[no-untyped-def]
        return ", ".join(path.parent.name for path in photos) if isinstance(photos, list) else photos.name

    return album


def _run(world: World, number: int) -> None:
    world.at(number + 1, 1)
    world.run(partition=day(number))


def test_a_folder_of_broken_images_is_refused_and_the_last_good_one_served(tmp_path: Path) -> None:
    write(tmp_path / day(1), a__png=picture(), b__jpg=picture("JPEG"))
    write(tmp_path / day(2), a__png=picture()[:-50], b__jpg=picture("JPEG"))
    for as_list in (False, True):
        home = tmp_path / f"home-{as_list}"
        with governed(home, lambda as_list=as_list: dg.Definitions(assets=[_photos(tmp_path, as_list=as_list), _album()]), PHOTOS) as world:
            _run(world, 1)
            _run(world, 2)
            bad, good = world.ledger().batches(asset="photos")
            assert (good.outcome, good.status) == (Outcome.WARN, Status.PUBLISHED)  # nothing to compare the first one with
            assert (bad.outcome, bad.status) == (Outcome.FAIL, Status.QUARANTINED)
            assert bad.verdict is not None
            (failed,) = [finding for finding in bad.verdict.findings if finding.outcome is Outcome.FAIL]
            assert (failed.rule, failed.failing_rows, failed.sample[0]["path"]) == ("decodable.invalidValues", 1, "a.png")
            assert value_of(world, "album", day(2)) == (f"{day(1)}, {day(1)}" if as_list else day(1))


def test_nine_of_ten_images_that_shrank_to_a_tenth_are_refused(tmp_path: Path) -> None:
    whole, thumbnail = picture(size=(400, 300)), picture(size=(40, 30))
    assert len(thumbnail) < 0.1 * len(whole)
    write(tmp_path / day(1), **{f"p{number}__png": whole for number in range(10)})
    write(tmp_path / day(2), **{f"p{number}__png": whole if number < 6 else thumbnail for number in range(10)})
    write(tmp_path / day(3), **{f"p{number}__png": whole if number < 1 else thumbnail for number in range(10)})
    with governed(tmp_path / "home", lambda: dg.Definitions(assets=[_photos(tmp_path, as_list=False)]), PHOTOS) as world:
        for number in (1, 2, 3):
            _run(world, number)
        third, second, _ = world.ledger().batches(asset="photos")
        assert (second.outcome, second.status) == (Outcome.PASS, Status.PUBLISHED)
        assert (third.outcome, third.status) == (Outcome.FAIL, Status.QUARANTINED)
        assert third.verdict is not None
        (failed,) = [finding for finding in third.verdict.findings if finding.outcome is Outcome.FAIL]
        assert failed.rule == "shrunk"
        assert "90" in failed.observed
