"""What a contract says and nothing here acts on: `diff` tells when it changes."""

from __future__ import annotations

import pytest

from dagster_contracts.core import odcs
from dagster_contracts.core.compat import compare

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: feed
version: 1.0.0
status: active
description: {purpose: risk, usage: daily}
servers: [{server: prod, type: postgres, host: h1, port: 1, database: d, schema: s}]
roles: [{role: reader, access: read}]
price: {priceAmount: 1, priceCurrency: EUR}
team: {name: x, members: [{username: ann, role: owner}, {username: bob}]}
slaProperties: [{property: availability, value: 99.9, unit: percent}]
customProperties: [{property: tool, value: 1}, {property: circuitBreaker, value: {cooldown: PT5M}}]
schema:
- name: orders
  businessName: Orders
  properties:
  - {name: id, logicalType: string, examples: [a]}
  - name: lines
    logicalType: array
    items:
      logicalType: object
      properties: [{name: sku, physicalName: sku_no, logicalType: string, encryptedName: hidden}]
"""


def told(old: str, new: str) -> dict[str, str]:
    assert CONTRACT.count(old) == 1
    versions = (odcs.parse(CONTRACT), odcs.parse(CONTRACT.replace(old, new).replace("1.0.0", "2.0.0")))
    return {change.place: change.kind.name for change in compare(*versions).changes}


@pytest.mark.parametrize(
    ("old", "new", "place", "kind"),
    [
        ("host: h1", "host: h2", "servers.prod", "server.changed"),
        ("server: prod", "server: test", "servers.test", "server.changed"),
        ("access: read", "access: write", "roles", "role.changed"),
        ("priceAmount: 1", "priceAmount: 2", "price", "text.changed"),
        ("username: bob", "username: eve", "team", "text.changed"),
        ("purpose: risk", "purpose: fraud", "description", "text.changed"),
        ("usage: daily", "usage: hourly", "description.usage", "text.changed"),
        ("value: 1}", "value: 2}", "customProperties.tool", "text.changed"),
        ("apiVersion: v3.1.0", "apiVersion: v3.2.0", "apiVersion", "text.changed"),
        ("businessName: Orders", "businessName: Sales", "orders.businessName", "text.changed"),
        ("examples: [a]", "examples: [b]", "orders.id.examples", "text.changed"),
        ("encryptedName: hidden", "encryptedName: open", "orders.lines[].sku_no.encryptedName", "text.changed"),
        ("name: sku,", "name: article,", "orders.lines[].sku_no.name", "text.changed"),
    ],
)
def test_what_nothing_acts_on_is_told(old: str, new: str, place: str, kind: str) -> None:
    assert told(old, new)[place] == kind


def test_nothing_else_is_told_with_it() -> None:
    assert told("usage: daily", "usage: hourly") == {"description.usage": "text.changed"}
    assert told("cooldown: PT5M", "cooldown: PT6M") == {"circuitBreaker.cooldown": "policy.changed"}


def test_of_a_column_that_went_its_removal_alone_is_told() -> None:
    assert told("  - {name: id, logicalType: string, examples: [a]}\n", "") == {"orders.id": "property.removed"}


def test_a_service_level_that_is_not_judged_is_one_change() -> None:
    versions = (odcs.parse(CONTRACT), odcs.parse(CONTRACT.replace("99.9", "99").replace("1.0.0", "2.0.0")))
    [change] = compare(*versions).changes
    assert (change.place, change.old, change.new) == ("slaProperties.availability", "99.9 percent", "99 percent")
