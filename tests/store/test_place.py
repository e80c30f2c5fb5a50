"""Which database holds the breakers."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from dagster_contracts.core.errors import UsageError
from dagster_contracts.store.place import resolve_url


def test_what_is_named_comes_first_then_the_variable_then_dagsters_folder():
    environ = {"CONTRACTS_DATABASE_URL": "postgresql://variable/db", "DAGSTER_HOME": "/home/d"}
    assert resolve_url("postgresql://named/db", environ) == "postgresql://named/db"
    assert resolve_url(None, environ) == "postgresql://variable/db"
    assert resolve_url(None, {"DAGSTER_HOME": "/home/d"}) == "sqlite:////home/d/contracts.db"


def test_the_folder_may_have_any_name():
    assert make_url(resolve_url(None, {"DAGSTER_HOME": "/a b/50%/what?#ü"})).database == "/a b/50%/what?#ü/contracts.db"


@pytest.mark.parametrize(("explicit", "environ"), [("", {}), (None, {"CONTRACTS_DATABASE_URL": " ", "DAGSTER_HOME": "/home/d"})])
def test_an_empty_url_is_no_other_database(explicit: str | None, environ: dict[str, str]):
    with pytest.raises(UsageError, match="is empty"):
        resolve_url(explicit, environ)


@pytest.mark.parametrize("environ", [{}, {"DAGSTER_HOME": ""}])
def test_without_any_it_says_how_to_give_one(environ: dict[str, str]):
    with pytest.raises(UsageError, match=r"--database-url.*CONTRACTS_DATABASE_URL.*DAGSTER_HOME"):
        resolve_url(None, environ)
