"""One issuer: its settings, its store, its registries, its clock. Errors are raised anywhere; :meth:`Server.answer` is
where those of a request are caught, logged and rendered.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from secrets import token_hex
from threading import Lock
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from blinker import NamedSignal

from . import grants, signals, tokens, values
from .clients import METHODS
from .clients.base import ClientAuthMethod
from .clients.document_cache import Documents, can_fetch
from .clients.documents import is_url
from .clients.objects import read_client
from .endpoints import PATHS
from .endpoints.cross_origin import BrowserOrigins
from .errors import ConfigurationError, InvalidClient, OAuth2Error, TemporarilyUnavailable
from .grants.base import GrantType, ResponseType
from .messages import NO_STORE, Request, Response
from .metrics import Metrics, open_recorder
from .records import Authorization, Client, User
from .resources import Resource, Resources
from .scopes import Scope
from .settings import DEVICE_CODE, Settings
from .stores.base import (
    ConsentStore,
    DeviceStore,
    RegistrationStore,
    Store,
    find_announcing,
    find_consents,
    find_devices,
    find_listing,
    find_registration,
)
from .stores.callbacks import Callbacks, CallbackStore
from .stores.replica import ReplicatedReader, TokenReader
from .tokens.base import SelfContainedFormat, TokenFormat, TokenType
from .tokens.cache import TokenCache

log = logging.getLogger("flask_oauth2")

_DAY = 86400

_MOST_MOUNTS = 16
"""An application is mounted at one place or a few."""

T = TypeVar("T")


@dataclass(slots=True)
class Parts:
    """What an application adds to the tables of grants, tokens and clients."""

    grants: dict[str, GrantType] = field(default_factory=dict)
    response_types: dict[str, ResponseType] = field(default_factory=dict)
    token_types: dict[str, TokenType] = field(default_factory=dict)
    token_formats: dict[str, TokenFormat] = field(default_factory=dict)
    auth_methods: dict[str, ClientAuthMethod] = field(default_factory=dict)
    usergetter: Callable[..., Any] | None = None
    token_handler: Callable[[], Mapping[str, Any] | None] | None = None
    registration_policy: Callable[[dict[str, Any], Request], Mapping[str, Any] | None] | None = None
    developer_policy: Callable[[User], object] | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)


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
    ) -> None:
        parts = parts or Parts()
        self.settings = settings
        self._open_store = open_store
        self._replica = replica
        self.described = described
        """The protected resources of the application, which may be none."""
        self.is_for_mcp = any(resource.is_mcp for resource in described)
        """Whether clients are expected that nobody has registered."""
        self._elsewhere = frozenset(elsewhere)
        self._resources: dict[str, Resources] = {}
        self.documents: dict[tuple[str, str], bytes] = {}
        """Metadata that was built, by its path and where the application is mounted."""
        self.guards_read: TokenReader | None = None
        """Where guards look, once the store is open, if not there."""
        self.callbacks = parts.callbacks
        """The application's own clients, codes and tokens, where it has them."""
        self.files_every_token = parts.callbacks.follow_tokens
        """Whether a token has a row too where it needs none, so that the application can end it."""
        self.token_handler = parts.token_handler
        self.registration = self._choose_registration()
        """``off``, ``token`` or ``open``."""
        self.registration_policy = parts.registration_policy
        self.developer_policy = parts.developer_policy
        self._lock = Lock()
        self._away_until = 0.0
        self.clock = clock
        self.longest_lifetime = settings.longest_lifetime
        self.issuer = settings.issuer or ""
        """Where no option names it, set with the first request."""
        self._url_prefix = url_prefix
        self.sender = sender
        """Who sends the signals: the application."""
        self._find_mistakes = find_mistakes
        """What is wrong with how the application is deployed, as seen from the request that is being answered."""
        self.find_claims = find_claims
        """What that request says of itself, which nobody has verified: ``endpoint``, ``client_id``, ``grant_type``."""
        self.metrics = Metrics(open_recorder(settings.metrics), sender, self._find_grant) if settings.metrics else None

        named = settings.grant_types
        built_in = [grant() for grant in grants.GRANTS if grant.name in named]
        if "password" in named:
            built_in.append(grants.Password(_require_usergetter(parts)))
        self.grants: dict[str, GrantType] = {grant.name: grant for grant in built_in} | parts.grants
        if twice := set(named).intersection(parts.grants):
            raise ConfigurationError(
                f"OAUTH2_GRANT_TYPES names {', '.join(twice)}, which the application has registered as a grant of its "
                "own: leave it to one of them"
            )
        own_types = [kind() for kind in grants.RESPONSE_TYPES if kind.grant_type in named]
        own_names = [response_type.name for response_type in own_types]
        self.response_types: dict[str, ResponseType] = {
            response_type.name: response_type for response_type in own_types
        } | parts.response_types
        self.response_type_sets = [
            names for size in range(1, len(own_names) + 1) for names in combinations(own_names, size)
        ] + [(name,) for name in parts.response_types]
        self.grant_type_names = (*named, *parts.grants)

        built_in_types = {kind.name.lower(): kind for kind in (make() for make in tokens.TYPES)}
        self.token_cache = TokenCache(settings.token_cache) if settings.token_cache else None
        self.token_types: dict[str, TokenType] = parts.token_types | built_in_types
        """By scheme. Asked in this order for whom a new token is: Bearer, the last, takes what no other does."""
        formats = [make(settings) for make in tokens.FORMATS]
        self.formats: dict[str, TokenFormat] = {kind.name: kind for kind in formats} | parts.token_formats
        self.self_contained_formats = [kind for kind in self.formats.values() if isinstance(kind, SelfContainedFormat)]
        if settings.access_token_format not in self.formats:
            raise ConfigurationError(
                f"OAUTH2_ACCESS_TOKEN_FORMAT must be one of {', '.join(self.formats)}, "
                f"not {settings.access_token_format!r}"
            )
        if settings.access_token_format == "signed" and not settings.secret_keys:
            raise ConfigurationError("OAUTH2_ACCESS_TOKEN_FORMAT is 'signed', which needs a SECRET_KEY: set one")
        if DEVICE_CODE in named and not settings.secret_keys:
            raise ConfigurationError("OAUTH2_GRANT_TYPES names device_code, which needs a SECRET_KEY: set one")
        self.auth_methods: Sequence[ClientAuthMethod] = (
            *(kind() for kind in METHODS),
            *parts.auth_methods.values(),
        )
        self.client_documents = Documents(self) if self._takes_documents() else None
        """The clients that are known by the URL of their metadata, where these are welcome."""
        self.auth_schemes = [method.scheme.lower() for method in self.auth_methods if method.scheme]
        for name, reason in grants.DISCOURAGED.items():
            if name in named:
                log.warning("OAUTH2_GRANT_TYPES names %s: %s", name, reason)
        needed = {f"the resource {resource.path}": resource.words for resource in described}
        for what, words in (("OAUTH2_REGISTRATION_SCOPES", settings.registration_scopes), *needed.items()):
            unknown = [word for word in words if settings.scopes and word not in settings.scopes]
            if unknown:
                raise ConfigurationError(
                    f"{what} needs the scope {' '.join(unknown)}, which OAUTH2_SCOPES does not describe: add it there"
                )
        if settings.developer_pages:
            self._check_developer_pages()

    def _check_developer_pages(self) -> None:
        if self.callbacks.clientgetter is not None:
            raise ConfigurationError(
                "OAUTH2_DEVELOPER_PAGES is True, but clients come from the application's clientgetter, where the pages "
                "can register none: leave one of the two out"
            )
        if not {"authorization_code", DEVICE_CODE} & set(self.settings.grant_types):
            raise ConfigurationError(
                "OAUTH2_DEVELOPER_PAGES is True, but there is no grant for the clients of developers: name "
                "authorization_code or device_code in OAUTH2_GRANT_TYPES"
            )
        if not self.open_scopes:
            log.warning(
                "OAUTH2_DEVELOPER_PAGES is True, but there is no scope that developers may choose: name what their "
                "clients may ask for in OAUTH2_REGISTRATION_SCOPES"
            )

    def _takes_documents(self) -> bool:
        """By ``OAUTH2_CLIENT_ID_DOCUMENTS``, or because MCP clients are expected and it can be done."""
        chosen = self.settings.client_id_documents
        if chosen is not None or not self.is_for_mcp:
            return bool(chosen)
        if not can_fetch():
            log.info(
                "MCP clients that are known by the URL of a document have to register here: install "
                "flask_oauth2[documents], or set OAUTH2_CLIENT_ID_DOCUMENTS = False to be told no more"
            )
        return can_fetch()

    def _choose_registration(self) -> str:
        """``OAUTH2_REGISTRATION``, or open where that is wanted and the application leaves clients to the store."""
        chosen, has_own = self.settings.registration, self.callbacks.clientgetter is not None
        if chosen in ("token", "open") and has_own:
            raise ConfigurationError(
                f"OAUTH2_REGISTRATION is {chosen!r}, but clients come from the application's clientgetter, where none "
                "can be registered from outside: leave one of the two out"
            )
        if chosen is None and self.is_for_mcp and not has_own:
            log.info(
                "anybody may register a client here, as clients of protected MCP servers do: "
                "OAUTH2_REGISTRATION = 'token' or 'off' closes that"
            )
            chosen = "open"
        if chosen in ("token", "open") and not self.settings.secret_keys:
            raise ConfigurationError(f"OAUTH2_REGISTRATION is {chosen!r}, which needs a SECRET_KEY: set one")
        return chosen or "off"

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
                client_id=claims.get("client_id"),
            )

    def _find_grant(self) -> str:
        claimed = self.find_claims().get("grant_type", "")
        return claimed if claimed in self.grants else ""

    def _log(self, error: OAuth2Error, error_id: str, reason: str) -> None:
        log.log(
            error.log_level,
            "%s [%s] %s (%s)%s%s%s",
            error.code,
            error_id,
            reason,
            error.rule,
            "" if error.expected is None else f"; expected {_printable(error.expected)}",
            "" if error.came is None else f"; came {_printable(error.came)}",
            "".join(f"; cure: {values.mask(cure)}" for cure in self.cures(error)),
        )

    def cures(self, error: OAuth2Error) -> list[str]:
        """What can be done about an error: for developers, never for strangers."""
        cure = error.cure
        if cure and "flask oauth2 client update http" in cure and self.client_documents is not None:
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
            headers["WWW-Authenticate"] = ", ".join(f'{scheme.title()} realm="{realm}"' for scheme in self.auth_schemes)
        return Response(error.status, error.parameters, headers)

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
        announcing = find_announcing(self.store)
        if announcing is not None:
            announcing.announce(mark)

    @property
    def kept_store(self) -> Store:
        """The store without the application's callbacks before it, which know less than it does."""
        return self.store and self._kept_store

    def _end_undelivered(self, family: str, now: float) -> None:
        self.kept_store.revoke(family, self.mark_until(now))
        self.forget(family)

    def mark_until(self, now: float) -> int:
        """When a mark that is filed now may be forgotten."""
        return int(now) + self.longest_lifetime + 1

    def url(self, endpoint: str, mount: str) -> str:
        """The public URL of an endpoint of the application, where it is mounted at a path of its host."""
        return f"{self.origin}{mount}{self._url_prefix}{PATHS[endpoint]}"

    @property
    def origin(self) -> str:
        """Scheme and host of the issuer."""
        issuer = urlsplit(self.issuer)
        return f"{issuer.scheme}://{issuer.netloc}"

    def resources(self, mount: str = "") -> Resources:
        """The protected resources, where the application is mounted at a path of its host."""
        found = self._resources.get(mount)
        if found is None:
            found = Resources(self.described, self.origin, mount, self._elsewhere)
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

    @cached_property
    def browser_origins(self) -> BrowserOrigins:
        """Whose pages may call."""

        def list_clients() -> Iterable[Client]:
            listing = None if self.callbacks.clientgetter else find_listing(self.store)
            return listing.list_clients() if listing else ()

        return BrowserOrigins(list_clients, self.settings.browser_origins)

    def find_client(self, client_id: str, refusal: type[OAuth2Error] | None = None) -> Client | None:
        """The client of the store, or the one behind its URL; None where there is none.

        Where the document behind the URL will not do, ``refusal`` is raised with the reason. Raises
        :exc:`TemporarilyUnavailable` where too many are being fetched.
        """
        return self.store.get_client(client_id) or self.find_document(client_id, refusal)

    def find_document(self, client_id: str, refusal: type[OAuth2Error] | None = None) -> Client | None:
        """The same where the store is known to have none of that id."""
        if self.client_documents is None or not is_url(client_id):
            return None
        found = self.client_documents.find(client_id)
        if isinstance(found, Client):
            return found
        if refusal is None:
            return None
        raise refusal(found.reason, rule=found.rule, came=found.came, cure=found.cure)

    def find_known_client(self, client_id: str) -> Client | None:
        """The same for a page that only shows who it is: nothing is fetched."""
        client = self.store.get_client(client_id)
        if client is None and self.client_documents is not None:
            return self.client_documents.find_kept(client_id)
        return client

    @cached_property
    def consents(self) -> ConsentStore | None:
        """The store that remembers consent, where one does."""
        return find_consents(self.store)

    @cached_property
    def devices(self) -> DeviceStore:
        """The store in which people decide about device codes. Raises :exc:`ConfigurationError` where none does."""
        devices = find_devices(self.store)
        if devices is None:
            raise ConfigurationError(
                "OAUTH2_GRANT_TYPES names device_code, and the store has no device codes: let it be a DeviceStore too"
            )
        return devices

    @cached_property
    def registrations(self) -> RegistrationStore:
        """The store as one that takes registrations, as it does where anybody but the operator may make some."""
        return cast(RegistrationStore, find_registration(self.store))

    @cached_property
    def store(self) -> Store:
        """The store, opened with the first use. Raises :exc:`~.errors.TemporarilyUnavailable` where it is away."""
        with self._lock:
            store: Store | None = self.__dict__.get("store")
            if store is None:
                if self._away_until > time.monotonic():  # whoever waited here is told at once
                    raise TemporarilyUnavailable("the store cannot be reached", retry_after=1)
                try:
                    store = self._open_store()
                except TemporarilyUnavailable:
                    self._away_until = time.monotonic() + 1
                    raise
                takes_clients = self.registration != "off" or self.settings.developer_pages
                if takes_clients and find_registration(store) is None:
                    raise ConfigurationError(
                        "clients cannot be registered in this store: give it the methods of RegistrationStore, or say "
                        "OAUTH2_REGISTRATION = 'off' and leave OAUTH2_DEVELOPER_PAGES out"
                    )
                self._kept_store = store
                if self.token_cache is not None:
                    self._hear_of_ends(store, self.token_cache)
                if self._replica is not None:
                    self.guards_read = self._before(ReplicatedReader(store, self._replica))
                store = self.__dict__["store"] = self._before(store)
            return store

    def _before(self, store: Any) -> Any:
        """What asks the application's callbacks too, where there are any."""
        if self.callbacks.are_given:
            return CallbackStore(store, self.callbacks, read_client, self._end_undelivered)
        return store

    def _hear_of_ends(self, store: Store, cache: TokenCache) -> None:
        """What other processes end, guards of this one forget at once, where the store tells of it."""

        def hear(mark: str | None) -> None:
            if mark is None:  # some may have been missed
                cache.clear()
            else:
                cache.end(mark)

        announcing = find_announcing(store)
        if announcing is not None:
            announcing.listen(hear)


def _require_usergetter(parts: Parts) -> Callable[..., Any]:
    if parts.usergetter is None:
        raise ConfigurationError(
            "OAUTH2_GRANT_TYPES names password, which needs a function that checks a name and a password: "
            "decorate one with @provider.usergetter"
        )
    return parts.usergetter


def _printable(value: object) -> str:
    """In one line and not too long; a value of ours that came where it does not belong is still a secret."""
    return repr(values.mask(str(value)[:200]))
