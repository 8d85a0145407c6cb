"""The time for which a response may be used again, :rfc:`9111#section-4.2`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]+\Z")
_MAX_AGE = re.compile(r"max-age=\"?([0-9]+)")


def find_lifetime(headers: Mapping[str, str], now: float, *, usual: float, shortest: float, longest: float) -> float:
    """Return the seconds for which a response is fresh, within bounds.

    :param headers: the headers of the response, with names in lower case.
    :param usual: the seconds for a response without caching headers.
    """
    control = headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return shortest
    named = _MAX_AGE.search(control)
    lifetime = usual
    if named:
        age = _SECONDS.match(headers.get("age", ""))
        lifetime = int(named[1][:10]) - (int(age[0][:10]) if age else 0)
    elif "expires" in headers:
        try:
            lifetime = parsedate_to_datetime(headers["expires"]).timestamp() - now
        except (ValueError, OverflowError):  # an invalid date is one "in the past", section 5.3
            lifetime = 0
    return min(max(lifetime, shortest), longest)
