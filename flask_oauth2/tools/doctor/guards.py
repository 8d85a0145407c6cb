"""Checks of the guards of views."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ...resource.guard import find_guards
from ...testing.policy import unguarded
from .base import Examined, Finding, error, note, summarize


def misplaced(examined: Examined) -> Iterator[Finding]:
    """Report views that were registered without their guard, :rfc:`6750#section-2`."""
    for mistake in examined.provider._find_misplaced_guards(examined.app):
        what, _, hint = mistake.partition(": ")
        yield error(what, "rfc6750 2", hint)


def scopes(examined: Examined) -> Iterator[Finding]:
    """Report guards that require an unknown scope, :rfc:`6749#section-3.3`."""
    known = examined.settings.scopes
    if not known:
        return
    paths: dict[str, list[str]] = defaultdict(list)
    for path, _, guards in find_guards(examined.app):
        for word in {word for guard in guards for way in guard.required for word in way}:
            if word not in known:
                paths[word].append(path)
    for word, found in sorted(paths.items()):
        yield error(
            f"the guard of {summarize(dict.fromkeys(found))} requires the scope {word}, which no client can obtain "
            "because OAUTH2_SCOPES does not contain it",
            "rfc6749 3.3",
            f"add {word} to OAUTH2_SCOPES, or correct the guard",
        )


def authentication(examined: Examined) -> Iterator[Finding]:
    """Report guards that require an authentication context class with which no user can sign in, :rfc:`9470`."""
    known = examined.settings.acr_values
    for path, _, guards in find_guards(examined.app):
        for guard in guards:
            accepted = guard.authentication.acr if guard.authentication else ()
            if accepted and set(accepted).isdisjoint(known):
                yield error(
                    f"the guard of {path} requires the acr {' or '.join(accepted)}, which no client can obtain because "
                    "OAUTH2_ACR_VALUES does not contain it",
                    "rfc9470 4",
                    "add it to OAUTH2_ACR_VALUES, and return acr from @provider.current_user",
                )


def guarded(examined: Examined) -> Iterator[Finding]:
    """Report applications without guarded views, and unguarded views next to guarded ones."""
    rules = list(find_guards(examined.app))
    behind_guards = {path for path, _, guards in rules if guards}
    if not behind_guards and not examined.provider.described:
        yield note(
            "no view requires an access token, so clients cannot use their tokens in this application",
            "rfc6750 2",
            'guard views with @provider.require_oauth("…"), unless other servers verify the tokens with introspection',
        )
        return
    parts = {first for path in behind_guards if (first := path.split("/")[1]) and not first.startswith("<")}
    open_views = set(unguarded(examined.app))
    neighbours = sorted({path for path, endpoint, _ in rules if endpoint in open_views and path.split("/")[1] in parts})
    if neighbours:
        yield note(
            f"{summarize(neighbours)} requires no access token, although views next to it do",
            "rfc6750 2",
            "guard it, or declare with @provider.require_oauth(optional=True) that it needs no token",
        )
