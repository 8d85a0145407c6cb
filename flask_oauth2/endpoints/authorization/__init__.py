"""The authorization endpoint: the checks of a request, what its user must do, and the answer.

=================  =====================================================================================
``checks``         the tables of checks; :func:`validate` runs them without browser or user
``saved``          requests that the server saves, :rfc:`9126`
``interaction``    what the user must do first
``decision``       what the decision of the user leads to
``respond``        what the response types issue, and how the answer travels
``endpoint``       these four, one after the other
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
