"""Data classes that are created in each request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(**options: Any) -> Any:
        """Make a data class that type checkers treat as frozen.

        At run time an assignment is not rejected, because a frozen data class takes three times as long to create.
        """
        return dataclass(**{**options, "frozen": False, "unsafe_hash": True})
