"""Checks of the parts that an application registers: each must have what its protocol names."""

from __future__ import annotations

from inspect import Parameter, isasyncgenfunction, iscoroutinefunction, isfunction, signature

from ..errors import ConfigurationError

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def check_part(part: object, protocol: type) -> None:
    """Raise :exc:`ConfigurationError` unless a part has the attributes and methods of a protocol.

    It runs when the part is registered, so that a request never meets a part that lacks something.
    """
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
