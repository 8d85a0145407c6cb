"""The authorization endpoint, :rfc:`6749#section-3.1`: check a request, interact with the user, and respond.

=================  =====================================================================================
``checks``         the tables of checks; :func:`validate` runs them without browser or user
``saved``          saved authorization requests, :rfc:`9126`
``interaction``    the action that the user must take: sign in or give consent
``decision``       carries out the decision of the user
``respond``        issues the credentials of the response types, and encodes the response
``endpoint``       runs these steps in order
=================  =====================================================================================
"""

from __future__ import annotations

from ...checks.request import AuthorizationRequest
from .checks import ADDRESSED, CHECKS, GRANT_CHECKS, run, validate
from .decision import AnsweredBefore
from .endpoint import ConfirmationNeeded, Outcome, authorize
from .interaction import ConsentNeeded, ConsentPrompt, LoginNeeded, Submission
from .respond import Answer
from .saved import save

__all__ = [
    "ADDRESSED",
    "CHECKS",
    "GRANT_CHECKS",
    "Answer",
    "AnsweredBefore",
    "AuthorizationRequest",
    "ConfirmationNeeded",
    "ConsentNeeded",
    "ConsentPrompt",
    "LoginNeeded",
    "Outcome",
    "Submission",
    "authorize",
    "run",
    "save",
    "validate",
]
