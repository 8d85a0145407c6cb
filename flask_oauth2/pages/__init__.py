"""What people see: where to sign in, what to allow, what they allowed, what went wrong."""

from __future__ import annotations

from .applications import applications
from .authorization import asking_client, authorize, decide

__all__ = ["applications", "asking_client", "authorize", "decide"]
