"""Client authentication with a TLS client certificate, :rfc:`8705#section-2`.

The TLS server verifies that the client has the key of the certificate. A request with ``client_id`` and without other
credentials is authenticated by the certificate of its connection, if the client is registered for this method.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from ...errors import InvalidClient, TemporarilyUnavailable
from ...http.messages import Params, Request
from ...records import Client
from ...server import AuthorizationServer
from ...settings import Settings
from ..keys import find_keys
from .base import ClientAuthMethod, Credentials, unknown_client

_RULE = "rfc8705 2"

RETRY_AFTER = 30
"""Seconds after which a client may try again if its ``jwks_uri`` is unavailable."""


class _Certificate:
    """The members that both methods share. The certificate is the proof of the credentials."""

    scheme: str | None = None
    parameter: str | None = None
    needs_secret = False
    needs_keys = False
    signing_algorithms: tuple[str, ...] = ()
    is_registrable = True

    def present(self, request: Request, form: Params) -> Credentials | None:
        """Return None: :class:`CertificateOrNone` calls :meth:`verify` for clients of this method."""


class TLSClientAuth(_Certificate):
    """``tls_client_auth``: a certificate with the registered subject, whose chain the TLS server has verified."""

    name = "tls_client_auth"
    accepts = frozenset({"tls_client_auth"})

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`InvalidClient` unless the certificate has the subject of the client, section 2.1."""
        from ...keys.certificates import SUBJECT_MEMBERS, has_subject
        from ...keys.encoding import JOSEError

        if client is None:
            raise unknown_client(credentials.client_id)
        member = next((name for name in SUBJECT_MEMBERS if name in client.metadata), None)
        if member is None:
            raise _rejected("the client has no registered subject", f"register one of {', '.join(SUBJECT_MEMBERS)}")
        try:
            is_its_own = has_subject(b64decode(credentials.proof), member, client.metadata[member])
        except (JOSEError, ValueError) as error:
            raise _rejected(str(error)) from None
        if not is_its_own:
            raise _rejected("a certificate with another subject", f"let the client use the certificate of its {member}")


class SelfSignedTLSClientAuth(_Certificate):
    """``self_signed_tls_client_auth``: a certificate that the client has registered as ``x5c`` of one of its keys."""

    name = "self_signed_tls_client_auth"
    accepts = frozenset({"self_signed_tls_client_auth"})
    needs_keys = True

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`InvalidClient` unless the client has registered the certificate, section 2.2."""
        from ...keys.certificates import has_certificate
        from ...keys.encoding import JOSEError
        from ...keys.remote import KeysUnavailable

        if client is None:
            raise unknown_client(credentials.client_id)
        try:
            is_its_own = has_certificate(b64decode(credentials.proof), find_keys(server, client, now))
        except KeysUnavailable as error:
            raise TemporarilyUnavailable(
                "the keys of the client are unavailable", retry_after=RETRY_AFTER, rule=_RULE, hint=error.reason
            ) from error
        except JOSEError as error:
            raise _rejected(error.reason) from None
        if not is_its_own:
            raise _rejected(
                "a certificate that the client has not registered",
                "let the client add it as x5c to a key of its jwks or jwks_uri",
            )


def make_methods(settings: Settings) -> tuple[ClientAuthMethod, ...]:
    """Return the methods, or nothing if ``OAUTH2_MUTUAL_TLS`` is not set."""
    if not settings.mutual_tls:
        return ()
    from ...keys import library  # noqa: F401  raises if cryptography is missing

    return TLSClientAuth(), SelfSignedTLSClientAuth()


class CertificateOrNone:
    """The method of a request without other credentials, over a connection with a client certificate.

    The registration of the client says whether the certificate authenticates it: a proxy may send the certificate of a
    public client too.
    """

    scheme: str | None = None
    parameter: str | None = None
    accepts = frozenset({"none", TLSClientAuth.name, SelfSignedTLSClientAuth.name})
    needs_secret = False
    needs_keys = False
    signing_algorithms: tuple[str, ...] = ()
    is_registrable = False

    def __init__(self, request: Request) -> None:
        self._request = request
        self.name = "none"
        """The method for which the client is registered, after :meth:`verify`."""

    def present(self, request: Request, form: Params) -> Credentials | None:
        """Return None: the request has no credentials but its ``client_id`` and its certificate."""

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`InvalidClient` unless the client is public or its certificate is the registered one."""
        if client is None or client.auth_method not in self.accepts or client.is_public:
            return  # authenticate() rejects unknown clients and those that are registered for another method
        request, methods = self._request, server.capabilities.auth_methods
        own = (one for one in methods if isinstance(one, TLSClientAuth | SelfSignedTLSClientAuth))
        method = next((one for one in own if one.name == client.auth_method), None)
        if method is None:
            raise _rejected("a certificate, but the server accepts none", "set OAUTH2_MUTUAL_TLS to True")
        # "the certificate chain is validated", section 2.1
        if method.name == TLSClientAuth.name and request.certificate_verification != "SUCCESS":
            raise _rejected(
                "a certificate whose chain the TLS server has not verified",
                "let the proxy verify it and send SUCCESS in the header of OAUTH2_CLIENT_CERTIFICATE_VERIFY_HEADER",
            )
        proof = b64encode(request.certificate or b"").decode()
        method.verify(server, client, Credentials(client.client_id, proof, request.address), now)
        self.name = method.name


def _rejected(received: str, hint: str | None = None) -> InvalidClient:
    return InvalidClient(
        "client authentication failed",
        rule=_RULE,
        expected="the certificate of the client",
        received=received,
        hint=hint,
    )
