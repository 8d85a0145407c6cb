"""Checks of the parts that an application registers: each must have what its protocol names."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import Parameter, isasyncgenfunction, iscoroutinefunction, isfunction, signature
from types import NoneType
from typing import get_args, get_type_hints

from ..clients.authentication.base import ClientAuthMethod
from ..endpoints import Endpoint
from ..errors import ConfigurationError
from ..grants.base import ResponseType
from ..stores.base import Store, Stores
from ..tokens.bindings.base import Binding
from ..tokens.formats.base import ReferenceFormat, SelfContainedFormat, TokenFormat
from ..tokens.types import TokenType

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def check_part(part: object, protocol: type) -> None:
    """Raise :exc:`ConfigurationError` unless a part has the attributes and methods of a protocol.

    It runs when the part is registered, so that a request never meets a part that lacks something.
    """
    _check_instance(part)
    class_name = type(part).__name__
    members = {name: member for kind in reversed(protocol.__mro__) for name, member in vars(kind).items()}
    for name in protocol.__annotations__:
        if not hasattr(part, name) and not hasattr(protocol, name):  # what the protocol has is the default
            raise ConfigurationError(
                f"{class_name} needs the attribute {name} of {protocol.__name__}: add it to the class"
            )
    if not isinstance(getattr(part, "name", ""), str):
        raise ConfigurationError(f"the name of {class_name} must be text")
    for name, member in members.items():
        if not isfunction(member) or name.startswith("_"):
            continue
        expected = [one for one in signature(member).parameters.values() if one.name != "self"]
        method = getattr(part, name, None)
        if not callable(method):
            raise ConfigurationError(
                f"{class_name} needs the method {name}() of {protocol.__name__}: add it to the class"
            )
        check_synchronous(method, f"{class_name}.{name}()")
        try:
            signature(method).bind(*[None for one in expected if one.kind in _POSITIONAL])
        except TypeError:
            arguments = ", ".join(one.name for one in expected)
            raise ConfigurationError(f"{class_name}.{name}() must take the arguments ({arguments})") from None


def check_synchronous(function: object, name: str) -> None:
    """Raise :exc:`ConfigurationError` for an asynchronous function, which the provider would call and never await."""
    for one in (function, type(function).__call__):
        if iscoroutinefunction(one) or isasyncgenfunction(one):
            raise ConfigurationError(f"{name} must not be asynchronous: define it with def instead of async def")


_IS_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch
"""A ``token`` of :rfc:`9110#section-5.6.2`, the grammar of authentication schemes."""

_IS_RESPONSE_TYPE = re.compile(r"[A-Za-z0-9_]+").fullmatch
"""A ``response-name`` of :rfc:`6749#appendix-A.3`."""

_IS_NAME = re.compile(r"[!-~]+").fullmatch
"""Printable ASCII characters without spaces: names in metadata and settings."""


def check_auth_method(method: ClientAuthMethod) -> None:
    """Raise :exc:`ConfigurationError` unless a client authentication method has valid names."""
    check_part(method, ClientAuthMethod)
    class_name = type(method).__name__
    _check_name(method.name, f"the name of {class_name}", _IS_NAME)
    _check_names(method.accepts, f"accepts of {class_name}", (frozenset, set, tuple))
    if method.name not in method.accepts:
        raise ConfigurationError(f"accepts of {class_name} must contain its own name {method.name!r}: add it")
    if method.scheme is not None:
        _check_name(method.scheme, f"the scheme of {class_name}, if it is not None,", _IS_TOKEN)
    for name in ("needs_secret", "is_registrable"):
        if not isinstance(getattr(method, name, False), bool):
            raise ConfigurationError(f"{name} of {class_name} must be True or False")


def check_binding(binding: Binding) -> None:
    """Raise :exc:`ConfigurationError` unless a binding has valid names."""
    check_part(binding, Binding)
    class_name = type(binding).__name__
    _check_name(binding.name, f"the name of {class_name}", _IS_NAME)
    _check_name(binding.token_type, f"the token_type of {class_name}", _IS_TOKEN)
    _check_names(binding.members, f"members of {class_name}", (frozenset, set))


def check_response_type(response_type: ResponseType) -> None:
    """Raise :exc:`ConfigurationError` unless a response type has a valid name and response mode."""
    check_part(response_type, ResponseType)
    class_name = type(response_type).__name__
    if " " in response_type.name:
        raise ConfigurationError(f"the name of a response type must not contain spaces: {response_type.name!r}")
    _check_name(response_type.name, f"the name of {class_name}", _IS_RESPONSE_TYPE)
    _check_name(response_type.grant_type, f"the grant_type of {class_name}", _IS_NAME)
    if response_type.mode not in ("query", "fragment"):
        raise ConfigurationError(f"mode of {class_name} must be 'query' or 'fragment', not {response_type.mode!r}")


def check_token_format(token_format: TokenFormat) -> None:
    """Raise :exc:`ConfigurationError` unless a token format has the methods of one of the two protocols."""
    check_part(token_format, SelfContainedFormat if hasattr(token_format, "read") else ReferenceFormat)
    _check_name(token_format.name, f"the name of {type(token_format).__name__}", _IS_NAME)


def check_token_type(token_type: TokenType) -> None:
    """Raise :exc:`ConfigurationError` unless the name of a token type is an authentication scheme."""
    check_part(token_type, TokenType)
    _check_name(token_type.name, f"the name of {type(token_type).__name__}", _IS_TOKEN)


def check_callable(function: object, name: str, arguments: str) -> None:
    """Raise :exc:`ConfigurationError` unless a function is callable with the arguments that the provider passes.

    :param arguments: the arguments, separated by spaces. Those with ``=`` are passed by name.
    """
    if not callable(function):
        raise ConfigurationError(f"{name} must be a function, not {type(function).__name__}")
    if isinstance(function, type) and isfunction(function.__call__):
        _check_instance(function)  # its instances are callable
    try:
        expected = signature(function)
    except ValueError:  # some functions in C have no signature
        return
    positional = [one for one in arguments.split() if not one.endswith("=")]
    by_name = [one.removesuffix("=") for one in arguments.split() if one.endswith("=")]
    try:
        expected.bind(*positional, **dict.fromkeys(by_name))
    except TypeError:
        raise ConfigurationError(f"{name} must take the arguments ({', '.join(arguments.split())})") from None


CALLBACKS = {
    "clientgetter": ("client_id",),
    "grantgetter": ("client_id= code=",),
    "grantsetter": ("client_id code request",),
    "tokengetter": ("access_token=", "refresh_token="),
    "tokensetter": ("token request",),
    "usergetter": ("username password client request",),
    "registration_policy": ("metadata request",),
    "developer_policy": ("user",),
    "user_is_active": ("user_id",),
    "access_token_claims": ("access client",),
    "userloader": ("user_id",),
    "current_user": ("",),
    "issuergetter": ("",),
    "token_handler": ("",),
}
"""The arguments of each call that the provider makes to a callback."""


def check_callback(function: object, name: str) -> None:
    """Raise :exc:`ConfigurationError` unless a callback is callable with the arguments that the provider passes."""
    for arguments in CALLBACKS[name]:
        check_callable(function, f"the {name}", arguments)


def check_store(store: object) -> None:
    """Raise :exc:`ConfigurationError` unless a store has all methods of :class:`Store` and of its capabilities."""
    check_part(store, Store)
    kinds = [kind for hint in get_type_hints(Stores).values() for kind in get_args(hint)]
    for capability in kinds:
        if isinstance(capability, type) and capability is not NoneType and isinstance(store, capability):
            check_part(store, capability)


_IS_METHOD = re.compile(r"[A-Z]+").fullmatch


def check_endpoint(endpoint: Endpoint) -> None:
    """Raise :exc:`ConfigurationError` unless the fields of an endpoint have the types and values of :class:`Endpoint`.

    A misspelled value would otherwise open the endpoint to any client or web page.
    """
    _check_instance(endpoint)
    if not isinstance(endpoint, Endpoint):
        raise ConfigurationError(f"register_endpoint() takes an Endpoint, not {type(endpoint).__name__}")
    if not (isinstance(endpoint.name, str) and endpoint.name.isidentifier()):
        raise ConfigurationError(
            f"the name of an endpoint must be an identifier such as introspection, not {endpoint.name!r}"
        )
    shown = f"the endpoint {endpoint.name}"
    if not (isinstance(endpoint.path, str) and endpoint.path.startswith("/")):
        raise ConfigurationError(f"the path of {shown} must begin with /, not {endpoint.path!r}")
    _check_rules(endpoint, shown)
    if endpoint.respond is None:
        raise ConfigurationError(f"{shown} needs a respond function: Endpoint(respond=...)")
    for name, arguments in (("respond", "call"), ("is_offered", "server"), ("describe", "server url")):
        function = getattr(endpoint, name)
        check_callable(function, f"{name} of {shown}", arguments)
        check_synchronous(function, f"{name} of {shown}")


def _check_rules(endpoint: Endpoint, shown: str) -> None:
    """Raise :exc:`ConfigurationError` for an invalid rule of who may call an endpoint, and how."""
    for name, value, known in (
        ("authentication", endpoint.authentication, ("", "client", "confidential")),
        ("cors", endpoint.cors, ("", "clients", "any")),
    ):
        if not (isinstance(value, str) and value in known):
            options = ", ".join(repr(one) for one in known)
            raise ConfigurationError(f"{name} of {shown} must be one of {options}, not {value!r}")
    if not isinstance(endpoint.is_well_known, bool):
        raise ConfigurationError(f"is_well_known of {shown} must be True or False, not {endpoint.is_well_known!r}")
    _check_names(endpoint.requires, f"requires of {shown}", (frozenset, set))
    if endpoint.requires and not endpoint.authentication:
        raise ConfigurationError(
            f"requires of {shown} has no effect without authentication: set authentication, or check the parameters "
            "in respond"
        )
    _check_names(endpoint.methods, f"methods of {shown}", (tuple, list))
    if not endpoint.methods or not all(map(_IS_METHOD, endpoint.methods)):
        raise ConfigurationError(f"methods of {shown} must name HTTP methods such as POST, not {endpoint.methods!r}")


def _check_name(value: object, shown: str, is_valid: Callable[[str], object]) -> None:
    """Raise :exc:`ConfigurationError` unless a value is text of a grammar."""
    if not (isinstance(value, str) and is_valid(value)):
        raise ConfigurationError(
            f"{shown} must be a name of ASCII letters, digits and punctuation without spaces, not {value!r}"
        )


def _check_names(values: object, name: str, types: tuple[type, ...]) -> None:
    """Raise :exc:`ConfigurationError` unless a value is a collection of one of these types that contains text only."""
    if not isinstance(values, types):
        raise ConfigurationError(f"{name} must be a {types[0].__name__} of names, not {type(values).__name__}")
    if not all(isinstance(value, str) for value in values):  # type: ignore[attr-defined]
        raise ConfigurationError(f"{name} must contain names only: {values!r}")


def _check_instance(part: object) -> None:
    """Raise :exc:`ConfigurationError` for a class, which an application may register instead of an instance."""
    if isinstance(part, type):
        raise ConfigurationError(f"{part.__name__} is a class: register an instance, {part.__name__}()")
