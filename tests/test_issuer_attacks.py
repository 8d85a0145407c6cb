"""Attacks with the credentials of one issuer on another, for the stores that need no server."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from issuer_attacks import IssuerAttacks, make_tenants

from flask_oauth2 import MemoryStore
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore


class TestIssuerAttacks(IssuerAttacks):
    """With the fixture ``store``."""

    @pytest.fixture(params=["memory", "sqlite"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
        if request.param == "memory":
            yield MemoryStore()
            return
        store = SQLAlchemyStore.open(f"sqlite:///{tmp_path / 'issuers.sqlite'}")
        yield store
        store.engine.dispose()


class Shared(MemoryStore):
    """A store in which all issuers share their rows."""

    def for_issuer(self, issuer_id: str) -> MemoryStore:
        return self


SIGNED = {"test_a_decision_about_a_device", "test_a_form_of_the_consent_page"}
"""Attacks with forms, whose signatures name the issuer."""

ATTACKS = sorted(name for name in vars(IssuerAttacks) if name.startswith("test_") and name not in SIGNED)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_store_that_does_not_separate_issuers_fails_each_attack(name: str) -> None:
    store = Shared()
    argument = make_tenants(store) if "tenants" in signature(vars(IssuerAttacks)[name]).parameters else store
    further = ("opaque",) if name == "test_an_access_token" else ()
    with pytest.raises(AssertionError):
        getattr(IssuerAttacks(), name)(argument, *further)
