"""Attacks with the credentials of one issuer on another, for every store of the package."""

from __future__ import annotations

from issuer_attacks import IssuerAttacks


class TestIssuerAttacks(IssuerAttacks):
    """With the fixture ``store``, which is each store of the package."""
