"""An authorization server: the settings, stores, capabilities and clock of one issuer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from .capabilities import Capabilities
from .errors import ConfigurationError
from .events import Events
from .http.messages import Request
from .processes import cached
from .records import User
from .resources import Resource, Resources
from .scopes import Scope
from .settings import Settings
from .stores.base import ConsentStore, DeviceStore, OriginStore, RegistrationStore, Store, Stores
from .stores.callbacks import Callbacks
from .stores.lazy import LazyStore

if TYPE_CHECKING:
    from .keys.remote import RemoteKeys
    from .keys.signing import SigningKeys


@dataclass(slots=True)
class LastRevocation:
    """The last revocation of a user by this process."""

    first_moment: float = 0.0
    """The first moment after it. No authorization begins before, even if the clock stands still or is set back."""


@dataclass(slots=True, kw_only=True)
class Policies:
    """Decisions that the application makes."""

    registration: Callable[[dict[str, Any], Request], Mapping[str, Any] | None] | None = None
    developer: Callable[[User], object] | None = None
    user_is_active: Callable[[str], object] | None = None


@dataclass(kw_only=True, eq=False)
class AuthorizationServer:
    """Everything that the endpoints of one issuer share. :mod:`flask_oauth2.assembly` builds it."""

    settings: Settings
    issuer: str
    """Empty if no option names it: the server of a request has the issuer of the request."""
    capabilities: Capabilities
    opening: LazyStore
    """Opens the store with its first use."""
    events: Events
    clock: Callable[[], float]
    """Returns seconds since the epoch, UTC."""
    issuer_id: str = ""
    """The ID under which the store saves the rows of this issuer; empty if the application has one."""
    url_prefix: str = "/oauth"
    callbacks: Callbacks = field(default_factory=Callbacks)
    policies: Policies = field(default_factory=Policies)
    registration: str = "off"
    """Who may register clients: ``off``, ``token`` or ``open``."""
    described: Sequence[Resource] = ()
    """The protected resources of the application."""
    elsewhere: frozenset[str] = frozenset()
    """The scope values of guards that belong to no protected resource."""
    is_open_elsewhere: bool = False
    """Whether a guard that belongs to no protected resource accepts any token."""
    is_for_mcp: bool = False
    """Whether clients are expected that nobody has registered."""
    longest_lifetime: int = 0
    """Seconds after which nothing that is issued now can still be valid."""
    refresh_token_grace_period_public: int = 0
    """Seconds within which a public client may repeat a refresh."""
    checks_users: bool = False
    """Whether the application says which users are active."""
    saves_every_token: bool = False
    """Whether a self-contained token has a row too, so that the application can revoke it."""
    documents: Any = None
    """The clients that are known by the URL of their metadata, :class:`~.clients.document_cache.Documents`."""
    revocation_listeners: list[Callable[[str], None]] = field(default_factory=list)
    """Functions that forget what rests on a revoked ID, in this process."""
    last_revocation: LastRevocation = field(default_factory=LastRevocation)
    resources_by_mount: dict[str, Resources] = field(default_factory=dict)
    built_metadata: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """Metadata documents that were built, by path and mount."""

    @property
    def open_scopes(self) -> Scope:
        """The scope of clients that nobody has verified: ``OAUTH2_REGISTRATION_SCOPES``, or that of the resources."""
        if self.settings.registration_scopes:
            return self.settings.registration_scopes
        words = (word for resource in self.described for word in resource.words)
        return tuple(dict.fromkeys((*words, *self.settings.default_scope)))

    @cached
    def store(self) -> Store:
        """The store. Raises :exc:`~.errors.TemporarilyUnavailable` if it cannot be opened."""
        return self.opening.open()

    @cached
    def stores(self) -> Stores:
        """The store and its capabilities."""
        self.opening.open()
        return self.opening.stores

    @cached
    def own_store(self) -> Store:
        """The store without the application's callbacks, which know less than it does."""
        self.opening.open()
        return self.opening.unwrapped

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
    def keys(self) -> SigningKeys:
        """The signing keys of this issuer. Stored ones are read, or created, with the first use."""
        from .keys.signing import open_keys  # few servers need keys, and it takes long to load

        return open_keys(self.settings, lambda: self.stores.keys)

    @cached
    def remote_keys(self) -> RemoteKeys:
        """The keys of other parties."""
        from .keys.remote import RemoteKeys

        return RemoteKeys()
