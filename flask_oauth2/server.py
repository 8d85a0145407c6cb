"""One issuer: its settings, its store, its registries, its clock. Errors are raised anywhere; :meth:`Server.answer` is
where those of a request are caught, logged and rendered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from blinker import NamedSignal

from . import signals, values
from .clients import developer, registration
from .clients.directory import Directory
from .clients.objects import read_client
from .endpoints import PATHS
from .errors import ConfigurationError, InvalidClient, OAuth2Error
from .messages import NO_STORE, Response
from .metrics import Metrics, open_recorder
from .offer import Offer, Parts
from .processes import cached
from .records import NOBODY, Authorization
from .resources import Resource, Resources
from .scopes import Scope
from .settings import NO_ISSUER, Settings
from .stores.base import ConsentStore, DeviceStore, OriginStore, RegistrationStore, Store, Stores
from .stores.callbacks import CallbackStore
from .stores.lazy import LazyStore
from .stores.replica import TokenReader
from .tokens.cache import TokenCache

log = logging.getLogger("flask_oauth2")

_DAY = 86400

_MOST_MOUNTS = 16
"""An application is mounted at one place or a few."""

_MCP_LEEWAY = 10
"""Seconds: MCP clients run several processes that share one refresh token."""

_MOST_ISSUERS = 16
"""Names and ports under which programs of this machine reach an application."""

_LONGEST_CURE = 1000
"""Characters of a cure in the log: it may name what a stranger has sent."""

T = TypeVar("T")


@dataclass(slots=True)
class LastRevocation:
    """The last revocation of a user, and the time from which authorizations are later."""

    first_moment: float = 0.0


class Server:
    """An authorization server, and the resource side of the same application.

    Raises :exc:`ConfigurationError` for options that ask for what is not there.
    """

    def __init__(
        self,
        settings: Settings,
        open_store: Callable[[], Store],
        parts: Parts | None = None,
        *,
        clock: Callable[[], float] = values.clock,
        url_prefix: str = "/oauth",
        sender: object = None,
        find_mistakes: Callable[[], Iterable[str]] = tuple,
        find_claims: Callable[[], Mapping[str, str]] = dict,
        replica: TokenReader | None = None,
        described: Sequence[Resource] = (),
        elsewhere: Iterable[str] = (),
        is_open_elsewhere: bool = False,
    ) -> None:
        parts = parts or Parts()
        self.settings = settings
        self.offer = Offer(settings, parts)
        self.described = described
        """The protected resources of the application, which may be none."""
        self.is_for_mcp = any(resource.is_mcp for resource in described)
        """Whether clients are expected that nobody has registered."""
        leeway = settings.refresh_leeway_public
        self.refresh_leeway_public = leeway if leeway is not None else _MCP_LEEWAY if self.is_for_mcp else 0
        """Seconds within which a public client may repeat a refresh."""
        self._elsewhere = frozenset(elsewhere)
        self._is_open_elsewhere = is_open_elsewhere
        self._resources: dict[str, Resources] = {}
        self.built_metadata: dict[tuple[str, str], bytes] = {}
        """Metadata that was built, by its path and where the application is mounted."""
        self.callbacks = parts.callbacks
        """The application's own clients, codes and tokens, where it has them."""
        self.files_every_token = parts.callbacks.follow_tokens
        """Whether a token has a row too where it needs none, so that the application can end it."""
        self.token_handler = parts.token_handler
        self.registration = registration.choose(settings, parts.callbacks, self.is_for_mcp)
        """``off``, ``token`` or ``open``."""
        self.registration_policy = parts.registration_policy
        self.developer_policy = parts.developer_policy
        self.user_is_active = parts.user_is_active
        self.checks_users = parts.user_is_active is not None or parts.callbacks.userloader is not None
        """Whether the application says which users are active, see :meth:`is_active`."""
        self.last_revocation = LastRevocation()
        """Of a user, by this process; shared with the copies that :meth:`at` makes."""
        """The first moment after the last revocation of a user in this process. No authorization begins before it, also
        if the clock stands still or is set back."""
        if settings.guard_checks_user and not (parts.user_is_active or parts.callbacks.userloader):
            raise ConfigurationError(
                "OAUTH2_GUARD_CHECKS_USER needs a function that says whether a user is active: decorate one with "
                "@provider.user_is_active"
            )
        self.token_cache = TokenCache(settings.token_cache) if settings.token_cache else None
        self.opening = LazyStore(open_store, self._begin, self._wrap_store, replica)
        self.clock = clock
        self.longest_lifetime = settings.longest_lifetime
        self.issuer = settings.issuer or ""
        """Empty if no option names it; :meth:`at` returns the server under the issuer of a request."""
        self._by_issuer: dict[str, Server] = {}
        self._url_prefix = url_prefix
        self.sender = sender
        """Who sends the signals: the application."""
        self._find_mistakes = find_mistakes
        """What is wrong with how the application is deployed, as seen from the request that is being answered."""
        self.find_claims = find_claims
        """What that request says of itself, which nobody has verified: ``endpoint``, ``client_id``, ``grant_type``."""
        self.metrics = Metrics(open_recorder(settings.metrics), sender, self._find_grant) if settings.metrics else None

        self.clients = Directory(self)
        self._check_scopes()
        if settings.developer_pages:
            developer.check_settings(self)

    def _check_scopes(self) -> None:
        settings = self.settings
        needed = {f"the resource {resource.path}": resource.words for resource in self.described}
        for what, words in (("OAUTH2_REGISTRATION_SCOPES", settings.registration_scopes), *needed.items()):
            unknown = [word for word in words if settings.scopes and word not in settings.scopes]
            if unknown:
                raise ConfigurationError(
                    f"{what} needs the scope {' '.join(unknown)}, which OAUTH2_SCOPES does not describe: add it there"
                )

    def at(self, issuer: str) -> Server:
        """Return this server under the issuer of a request, if no option names one. It shares all but its URLs."""
        found = self._by_issuer.get(issuer)
        if found is None:
            found = copy(self)
            found.issuer, found.clock = issuer, lambda: self.clock()
            found._resources, found.built_metadata = {}, {}
            found.clients = Directory(found)
            if len(self._by_issuer) < _MOST_ISSUERS:
                self._by_issuer[issuer] = found
        return found

    def answer(self, respond: Callable[..., T], refuse: Callable[[OAuth2Error, str], T], *arguments: Any) -> T:
        """What ``respond`` says, or what ``refuse`` makes of the error that it raised, with the id that the log has."""
        try:
            return respond(*arguments)
        except OAuth2Error as error:
            error_id = token_hex(4)
            reason = values.mask(error.description)
            if log.isEnabledFor(error.log_level):
                self._log(error, error_id, reason)
            if error.log_level > logging.DEBUG:  # a request without a token is asked for one, not refused
                self._tell_refused(error, error_id, reason)
            elif self.metrics is not None:
                self.metrics.note(error.code)
            return refuse(error, error_id)

    def _tell_refused(self, error: OAuth2Error, error_id: str, reason: str) -> None:
        if signals.request_refused.has_receivers_for(self.sender) or signals.audit.isEnabledFor(logging.INFO):
            claims = self.find_claims()
            self.tell(
                signals.request_refused,
                error=error.code,
                error_id=error_id,
                reason=reason,
                rule=error.rule,
                endpoint=claims.get("endpoint"),
                client_id=values.mask(claims.get("client_id", "")) or None,
            )

    def _find_grant(self) -> str:
        claimed = self.find_claims().get("grant_type", "")
        return claimed if claimed in self.offer.grants else ""

    def _log(self, error: OAuth2Error, error_id: str, reason: str) -> None:
        client_id = self.find_claims().get("client_id")
        log.log(
            error.log_level,
            "%s [%s] %s (%s)%s%s%s%s",
            error.code,
            error_id,
            reason,
            error.rule,
            f"; client {_printable(client_id)}" if client_id else "",
            "" if error.expected is None else f"; expected {_printable(error.expected)}",
            "" if error.came is None else f"; came {_printable(error.came)}",
            "".join(f"; cure: {values.mask(cure[:_LONGEST_CURE])}" for cure in self.cures(error)),
        )

    def cures(self, error: OAuth2Error) -> list[str]:
        """What can be done about an error: for developers, never for strangers."""
        cure = error.cure
        if cure and "flask oauth2 client update http" in cure.replace("'", "") and self.clients.documents is not None:
            cure = (
                "the client is what the document at its client_id says: correct it there; the scope of all such "
                "clients is that of the protected resources and OAUTH2_DEFAULT_SCOPE"
            )
        elif cure and "flask oauth2 client" in cure and self.callbacks.clientgetter is not None:
            cure = f"in place of the command change the client where the application's clientgetter finds it: {cure}"
        return [*([cure] if cure else ()), *self._find_mistakes()]

    def tell(self, signal: NamedSignal, **what: Any) -> None:
        """Say what happened, to the receivers of the signal and to the audit log. ``what`` holds no secret."""
        if signal.has_receivers_for(self.sender):
            signal.send(self.sender, **what)
        signals.write(signal, what)

    def note_use(self, authorization: Authorization, before: int, now: float) -> None:
        """Note that a client got something for a consent: the first time of each day (UTC), which people can see."""
        is_first = authorization.consent_id is not None and before // _DAY != int(now) // _DAY
        if is_first and authorization.user_id and self.consents is not None:
            self.consents.use_consent(authorization.user_id, authorization.client_id, int(now))

    def refuse(self, error: OAuth2Error, error_id: str) -> Response:
        """An error of an endpoint that programs call, :rfc:`6749#section-5.2`."""
        headers = {**NO_STORE, **error.headers}
        if isinstance(error, InvalidClient):
            realm = self.settings.realm
            headers["WWW-Authenticate"] = ", ".join(
                f'{scheme.title()} realm="{realm}"' for scheme in self.offer.auth_schemes
            )
        return Response(error.status, error.parameters, headers)

    def is_active(self, user_id: str) -> bool:
        """Return whether a user may still be acted for.

        The application's ``user_is_active`` decides. Without it, a ``userloader`` of the provider must find the user.
        """
        if self.user_is_active is not None:
            return bool(self.user_is_active(user_id))
        loader = self.callbacks.userloader
        return loader is None or loader(user_id) not in NOBODY

    def begin_revocation(self, now: float) -> float:
        """Return the time up to which a revocation covers authorizations. Those that begin from now on are later."""
        last = max(now, self.last_revocation.first_moment)
        self.last_revocation.first_moment = (int(last * 1000) + 1.5) / 1000
        return last

    def end(self, mark: str, now: float) -> None:
        """Revoke a family, a token or all of a client, for longer than any token that is issued now can live."""
        self.store.revoke(mark, self.mark_until(now))
        self.forget(mark)

    def forget(self, mark: str) -> None:
        """Let guards of this process remember nothing that rests on a mark which was filed."""
        if self.token_cache is not None:
            self.token_cache.end(mark)

    def announce(self, mark: str) -> None:
        """The same in all processes, where the store did not tell them of the mark by itself."""
        self.forget(mark)
        if self.stores.pubsub is not None:
            self.stores.pubsub.publish(mark)

    @property
    def kept_store(self) -> Store:
        """The store without the callbacks of the application, which know less than it does."""
        self.opening.open()
        return self.opening.unwrapped

    def _revoke_undelivered(self, store: Store, family: str, now: float) -> None:
        store.revoke(family, self.mark_until(now))
        self.forget(family)

    def mark_until(self, now: float) -> int:
        """When a mark that is filed now may be forgotten."""
        return int(now) + self.longest_lifetime + 1

    def url(self, endpoint: str, mount: str) -> str:
        """The public URL of an endpoint of the application, where it is mounted at a path of its host."""
        return f"{self.origin}{mount}{self._url_prefix}{PATHS[endpoint]}"

    @property
    def origin(self) -> str:
        """Scheme and host of the issuer. Raises :exc:`ConfigurationError` if no option and no request names it."""
        if not self.issuer:
            raise ConfigurationError(NO_ISSUER)
        issuer = urlsplit(self.issuer)
        return f"{issuer.scheme}://{issuer.netloc}"

    def resources(self, mount: str = "") -> Resources:
        """The protected resources, where the application is mounted at a path of its host."""
        found = self._resources.get(mount)
        if found is None:
            found = Resources(self.described, self.origin, mount, self._elsewhere, self._is_open_elsewhere)
            if len(self._resources) < _MOST_MOUNTS:
                self._resources[mount] = found
        return found

    @property
    def open_scopes(self) -> Scope:
        """What clients that nobody vetted may ask for: ``OAUTH2_REGISTRATION_SCOPES``, or the scope of the resources
        and the default.
        """
        if self.settings.registration_scopes:
            return self.settings.registration_scopes
        words = (word for resource in self.described for word in resource.words)
        return tuple(dict.fromkeys((*words, *self.settings.default_scope)))

    @cached
    def consents(self) -> ConsentStore | None:
        """The store that remembers consent, if there is one."""
        return self.stores.consents

    @cached
    def client_origins(self) -> OriginStore | None:
        """The store that finds the origins of the pages of clients, if there is one."""
        return self.stores.origins

    @cached
    def devices(self) -> DeviceStore:
        """The store for device codes. Raises :exc:`ConfigurationError` if there is none."""
        devices = self.stores.devices
        if devices is None:
            raise ConfigurationError(
                "OAUTH2_GRANT_TYPES names device_code, and the store has no device codes: let it be a DeviceStore too"
            )
        return devices

    @cached
    def registrations(self) -> RegistrationStore:
        """The store for registrations. There is one if any party but the operator may register clients."""
        return cast(RegistrationStore, self.stores.registration)

    @cached
    def stores(self) -> Stores:
        """The store and its capabilities, opened on first use."""
        self.opening.open()
        return self.opening.stores

    @cached
    def store(self) -> Store:
        """The store, opened with the first use. Raises :exc:`~.errors.TemporarilyUnavailable` where it is away."""
        return self.opening.open()

    def _begin(self, stores: Stores) -> None:
        takes_clients = self.registration != "off" or self.settings.developer_pages
        if takes_clients and stores.registration is None:
            raise ConfigurationError(
                "clients cannot be registered in this store: give it the methods of RegistrationStore, or say "
                "OAUTH2_REGISTRATION = 'off' and leave OAUTH2_DEVELOPER_PAGES out"
            )
        if self.token_cache is not None and stores.pubsub is not None:
            self.token_cache.follow(partial(stores.pubsub.subscribe, self.token_cache.hear))

    def _wrap_store(self, store: Any) -> Any:
        """Wrap the store in the callbacks of the application, if any are registered."""
        if self.callbacks.are_given:
            return CallbackStore(store, self.callbacks, read_client, self._revoke_undelivered)
        return store


def _printable(value: object) -> str:
    """In one line and not too long; a value of ours that came where it does not belong is still a secret."""
    return repr(values.mask(str(value)[:200]))
