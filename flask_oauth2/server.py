"""An authorization server: the settings, stores, capabilities and clock of one issuer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from .capabilities import Capabilities
from .errors import ConfigurationError
from .events import Events
from .http.messages import Request
from .processes import Once, cached
from .records import AccessToken, Client, User
from .resources import Resource, Resources
from .scopes import Scope
from .settings import Settings
from .status_list import StatusNumbers
from .stores.base import ConsentStore, DeviceStore, OriginStore, RegistrationStore, StatusStore, Store, Stores
from .stores.callbacks import Callbacks
from .stores.lazy import LazyStore

if TYPE_CHECKING:
    from .keys.remote import RemoteKeys
    from .keys.signing import SigningKeys


@dataclass(slots=True)
class LastRevocation:
    """The last revocation of a user by this process."""

    first_moment: float = 0.0
    """The first moment after it, in seconds since the epoch. No new authorization begins earlier, even if the clock is
    set back.
    """


@dataclass(slots=True, kw_only=True)
class Policies:
    """Callbacks with which the application decides who may register clients and which users are active."""

    registration: Callable[[dict[str, Any], Request], Mapping[str, Any] | None] | None = None
    developer: Callable[[User], object] | None = None
    user_is_active: Callable[[str], object] | None = None


@dataclass(kw_only=True, eq=False)
class AuthorizationServer:
    """The authorization server of one issuer: the state that its endpoints share. :mod:`.assembly` builds it."""

    settings: Settings
    issuer: str
    """The issuer URL. Empty if ``OAUTH2_ISSUER`` is not set: then each request determines it."""
    capabilities: Capabilities
    opening: LazyStore
    """Opens the store when it is first used."""
    events: Events
    clock: Callable[[], float]
    """Returns the time in seconds since the epoch, UTC."""
    issuer_id: str = ""
    """The ID that the rows of this issuer have in the store. Empty if the application has one issuer."""
    url_prefix: str = "/oauth"
    callbacks: Callbacks = field(default_factory=Callbacks)
    policies: Policies = field(default_factory=Policies)
    registration: str = "off"
    """The mode of dynamic client registration: ``off``, ``token`` or ``open``."""
    described: Sequence[Resource] = ()
    """The protected resources of the application."""
    resources: Sequence[Resource] = ()
    """The protected resources of the application and those of other servers."""
    outside_scopes: frozenset[str] = frozenset()
    """The scope values that guards outside all protected resources require."""
    is_open_outside: bool = False
    """True if a guard outside all protected resources accepts tokens with any scope."""
    is_for_mcp: bool = False
    """True if the application protects an MCP server, whose clients register themselves."""
    longest_lifetime: int = 0
    """The longest lifetime of codes and tokens in seconds."""
    refresh_token_grace_period_public: int = 0
    """Seconds within which a public client may repeat a refresh."""
    checks_users: bool = False
    """True if the application has a callback that returns whether a user is active."""
    saves_every_token: bool = False
    """True if self-contained tokens have rows in the store too, so that the application can revoke them."""
    access_token_claims: Callable[[AccessToken, Client], Mapping[str, Any] | None] | None = None
    """The callback that returns further claims of JSON Web Tokens."""
    documents: Any = None
    """The clients with metadata documents, :class:`~.clients.document_cache.Documents`, or None."""
    revocation_listeners: list[Callable[[str], None]] = field(default_factory=list)
    """Functions that remove revoked tokens from the caches of this process."""
    last_revocation: LastRevocation = field(default_factory=LastRevocation)
    resources_by_mount: dict[str, Resources] = field(default_factory=dict)
    built_metadata: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """The cached metadata documents, by path and mount."""

    built_status_lists: dict[tuple[int, str], Any] = field(default_factory=dict)
    """The signed status lists, by number and mount."""
    status_list_work: Once = field(default_factory=Once)
    """Lets one thread sign a list while others wait."""

    @property
    def open_scopes(self) -> Scope:
        """The scope that unverified clients may have.

        This is ``OAUTH2_REGISTRATION_SCOPES`` or, if it is empty, the scope values of the protected resources and the
        default scope.
        """
        if self.settings.registration_scopes:
            return self.settings.registration_scopes
        scopes = (value for resource in self.resources for value in resource.all_scopes)
        return tuple(dict.fromkeys((*scopes, *self.settings.default_scope)))

    @cached
    def store(self) -> Store:
        """The store. Reading it raises :exc:`~.errors.TemporarilyUnavailable` if the store cannot be opened."""
        return self.opening.open()

    @cached
    def stores(self) -> Stores:
        """The store and its capabilities."""
        self.opening.open()
        return self.opening.stores

    @cached
    def own_store(self) -> Store:
        """The store without the application's callbacks."""
        self.opening.open()
        return self.opening.unwrapped

    @cached
    def consents(self) -> ConsentStore | None:
        """The store that saves consents, or None."""
        return self.stores.consents

    @cached
    def client_origins(self) -> OriginStore | None:
        """The store that looks up the web origins of clients, or None."""
        return self.stores.origins

    @cached
    def devices(self) -> DeviceStore:
        """The store for device codes. Reading it raises :exc:`ConfigurationError` if the store has no device codes."""
        devices = self.stores.devices
        if devices is None:
            raise ConfigurationError(
                "OAUTH2_GRANT_TYPES contains device_code, but the store does not support device codes. "
                "Implement DeviceStore in the store, or remove device_code"
            )
        return devices

    @cached
    def registrations(self) -> RegistrationStore:
        """The store for client registrations. It exists if developers or clients may register clients."""
        return cast(RegistrationStore, self.stores.registration)

    @cached
    def status_numbers(self) -> StatusNumbers:
        """The places of new tokens in status lists. They exist if ``OAUTH2_STATUS_LISTS`` is true."""
        return StatusNumbers(cast(StatusStore, self.stores.statuses))

    @cached
    def keys(self) -> SigningKeys:
        """The signing keys of this issuer. Stored ones are read, or created, with the first use."""
        from .keys.signing import open_keys  # few servers need keys, and it takes long to load

        return open_keys(self.settings, lambda: self.stores.keys)

    @cached
    def remote_keys(self) -> RemoteKeys:
        """The keys of other parties."""
        from .keys.remote import RemoteKeys

        return RemoteKeys()
