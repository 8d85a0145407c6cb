"""Guards of the application's views, verified by the authorization server of the same application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import flask

from .. import signals, web
from ..clients import lookup
from ..errors import ConfigurationError
from ..records import AccessToken, find, is_user
from ..resource.current_token import Owners
from ..resource.guard import Guard
from ..resource.guard_order import GuardedFunctions
from ..resource.protect import Protection
from ..resources import Resource
from ..web.prefix import fill
from .ownership import EXTENSION, Registered, find_caller
from .servers import Installed
from .users import Users

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class ProviderGuards(Users, Protection):
    """Guards of views and of protected resources."""

    def __init__(self) -> None:
        super().__init__()
        self._guarded = GuardedFunctions()
        self._owners = Owners(
            find_user=self._find_user, find_client=self._find_client, find_own_token=self._find_own_token
        )

    def _register_resource(self, resource: Resource, wsgi_app: WSGIApplication | None) -> None:
        """See :meth:`.resource.protect.Protection._register_resource`."""
        self._register("resources", resource.path, (resource, wsgi_app), f"the resource {resource.path}")

    def _resources_of(self, app: flask.Flask) -> Mapping[str, tuple[Resource, WSGIApplication | None]]:
        """See :meth:`.resource.protect.Protection._resources_of`."""
        registered: Registered = app.extensions[EXTENSION].registered
        return registered.resources

    def _path_of(self, resource: Resource) -> str:
        """See :meth:`.resource.protect.Protection._path_of`."""
        installed: Installed = web.current_app().extensions[EXTENSION]
        return fill(resource.path, installed.find_arguments())

    def _check_guard(self, guard: Guard) -> flask.Response | None:
        """See :meth:`.resource.guard.Guards._check_guard`."""
        verifier = self.verifier
        server = verifier.server
        settings, metrics = server.settings, server.events.metrics
        arguments = verifier, settings.token_in_body, settings
        if metrics is None:
            return guard.run(*arguments)
        answer: flask.Response | None = metrics.measure("resource", "", guard.run, *arguments)
        return answer

    def _record_guarded(self, function: Any, wrapper: Any) -> None:
        """See :meth:`.resource.guard.Guards._record_guarded`, and :mod:`.resource.guard_order`."""
        self._guarded.add(function, wrapper, find_caller())

    def _emit_accepted(self, **facts: Any) -> None:
        """See :meth:`.resource.guard.Guards._emit_accepted`."""
        self.server.events.emit(signals.token_accepted, **facts)

    def _find_misplaced_guards(self, app: flask.Flask) -> list[str]:
        """Return a sentence for each view of an application that was registered without its guard."""
        return list(self._guarded.find_misplaced(app, self._apps))

    def _check_guards(self) -> None:
        """Raise :exc:`ConfigurationError` at the first request if a guard above its route has no effect."""
        app = web.current_app()
        misplaced = self._find_misplaced_guards(app)
        if misplaced:
            raise ConfigurationError("; ".join(misplaced))
        # a new list, because other threads may be iterating over this one
        hooks = app.before_request_funcs
        hooks[None] = [hook for hook in hooks[None] if hook != self._check_guards]

    def _find_user(self, access: AccessToken) -> Any:
        user_id = str(access.user_id)
        user = None if self.server.callbacks.userloader else find(self._find_own_token(access), "user")
        return user if is_user(user, user_id) else self.load_user(user_id)

    def _find_client(self, access: AccessToken) -> Any:
        server = self.server
        return server.callbacks.find_client(access.client_id) or lookup.find_client(server, access.client_id)

    def _find_own_token(self, access: AccessToken) -> Any:
        return self.server.callbacks.find_token(access.token_hash)
