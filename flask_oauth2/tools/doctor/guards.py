"""What the guards of the views demand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ...resource.guard import find_guards
from ...testing.policy import unguarded
from .base import Examined, Finding, error, note, several


def misplaced(examined: Examined) -> Iterator[Finding]:
    """Report views that were registered without their guard, :rfc:`6750#section-2`."""
    for mistake in examined.provider._find_misplaced_guards(examined.app):
        what, _, cure = mistake.partition(": ")
        yield error(what, "rfc6750 2", cure)


def scopes(examined: Examined) -> Iterator[Finding]:
    """Words that no token can have, :rfc:`6749#section-3.3`."""
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
            f"the guard of {several(dict.fromkeys(found))} demands the scope {word}, which OAUTH2_SCOPES does not "
            "describe: no client can get it",
            "rfc6749 3.3",
            f"add {word} to OAUTH2_SCOPES, or correct the guard",
        )


def guarded(examined: Examined) -> Iterator[Finding]:
    """Whether any view asks for a token, and those beside such views that do not."""
    rules = list(find_guards(examined.app))
    behind_guards = {path for path, _, guards in rules if guards}
    if not behind_guards and not examined.provider.described:
        yield note(
            "no view asks for a token, so there is nothing that clients could do with one here",
            "rfc6750 2",
            'guard views by @provider.require_oauth("…"), unless other servers guard them by introspection',
        )
        return
    parts = {first for path in behind_guards if (first := path.split("/")[1]) and not first.startswith("<")}
    open_views = set(unguarded(examined.app))
    beside = sorted({path for path, endpoint, _ in rules if endpoint in open_views and path.split("/")[1] in parts})
    if beside:
        yield note(
            f"{several(beside)} needs no token, and views beside it do",
            "rfc6750 2",
            "guard it, or say by @provider.require_oauth(optional=True) that it needs none",
        )
