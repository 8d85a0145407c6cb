"""The pages for users: consent, device verification, connected applications, developer pages and errors."""

from __future__ import annotations

from .applications import applications
from .authorization import authorize, decide, requested_acr_values, requesting_client
from .developer import developer, developer_client, developer_delete, developer_secret
from .device import device

__all__ = [
    "applications",
    "authorize",
    "decide",
    "developer",
    "developer_client",
    "developer_delete",
    "developer_secret",
    "device",
    "requested_acr_values",
    "requesting_client",
]
