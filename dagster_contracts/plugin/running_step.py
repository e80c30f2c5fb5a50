"""An execution of an op that is wrapped here; of a step that makes assets: which of them and of their partitions, under which contracts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_contracts.core.breaker import edited
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Partition
from dagster_contracts.judgement import Judgement, Terms
from dagster_contracts.plugin.partitions import partitions_of_run
from dagster_contracts.plugin.private import instances, steps
from dagster_contracts.plugin.site import Site


class Execution:
    """One execution of one wrapped op, whatever it does."""

    def __init__(self, site: Site, context: Any):
        self.site = site
        self.context = steps.op_context(context)
        self.step = steps.step_context(context)
        self.gate = site.gate(self.step.instance)
        assets = steps.assets_of_step(self.step)
        assert assets is not None
        self.assets = assets


class RunningStep(Execution):
    """One execution of an op that makes assets. `consumers` are those that it makes: none where only checks are selected."""

    def __init__(self, site: Site, context: Any):
        super().__init__(site, context)
        self.consumers = sorted(key.to_user_string() for key in self.assets.keys)
        self.output_names = {key.to_user_string(): name for key, name in steps.own_outputs(self.step, self.assets).items()}
        self._edits: set[str] = set()  # assets of whose edited contract the log tells

    @cached_property
    def terms(self) -> Mapping[str, Terms]:
        """What governs the outputs of this step, as of its first question."""
        return self.site.in_force(self.step.instance, self.output_names, self.context.log.warning)

    def partitions(self, key: dg.AssetKey) -> list[Partition]:
        """The partitions of `key` that this run makes."""
        return partitions_of_run(self.step, key)

    def writes_itself(self, asset: str) -> bool:
        """Whether an asset writes its live place itself, and passes no value on."""
        return asset in self.site.live_readers or steps.has_no_value(self.step, self.output_names[asset])

    def has_no_value(self, event: Any, asset: str) -> bool:
        """Whether what its body yields of an asset only says that its data has been written."""
        if isinstance(event, dg.MaterializeResult):
            return not steps.has_value(event)
        return self.writes_itself(asset)

    def anybody_goes_on(self, key: dg.AssetKey) -> bool:
        """Whether a consumer in this run can do without fresh data of `key`."""
        here = steps.children(self.step, key) & steps.run_asset_keys(self.step)
        words = (self.site.accepts([child.to_user_string()], key.to_user_string()) for child in here)
        return any(word is not Confidence.FULL for word in words)

    def tell_of_edit(self, terms: Terms, judgement: Judgement) -> None:
        """Once a step: the partitions of a range have one contract."""
        if terms.asset not in self._edits and (told := edited(judgement.breaker, terms.content)) is not None:
            self._edits.add(terms.asset)
            self.context.log.warning(told)

    def no_run_retries(self) -> None:
        """The data will not be better in a minute: keep Dagster from retrying the whole run."""
        self.step.instance.add_run_tags(self.context.run_id, {instances.MAX_RETRIES: "0"})
