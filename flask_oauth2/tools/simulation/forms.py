"""The forms of a page, and the content security policy that decides whether a browser submits them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import SplitResult, urljoin, urlsplit

from .exchange import Exchange

_YES = re.compile(r"\b(allow|yes|accept|approve|authori[sz]e|agree|grant|confirm|continue)\b", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NO = re.compile(r"\b(no|not|don.t|deny|reject|refuse|cancel)\b", re.IGNORECASE)


@dataclass(slots=True)
class Button:
    """A button that submits a form."""

    name: str
    value: str
    text: str = ""

    @property
    def is_allow(self) -> bool:
        """Return whether the button grants access, according to its value or, if that is unclear, its text."""
        for text in (self.value, self.text):
            if _NO.search(text):
                return False
            if _YES.search(text):
                return True
        return False


@dataclass(slots=True)
class Form:
    """A form with method POST and the initial values of its fields."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[Button] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._form: Form | None = None
        self._button: Button | None = None
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            is_posted = given.get("method", "").lower() == "post"
            self._form = Form(urljoin(self._url, given.get("action") or self._url)) if is_posted else None
            if self._form is not None:
                self.forms.append(self._form)
        elif self._form is not None and tag in ("button", "input"):
            self._add(self._form, tag, given)

    def _add(self, form: Form, tag: str, given: dict[str, str]) -> None:
        kind = given.get("type", "submit" if tag == "button" else "text").lower()
        name, value = given.get("name", ""), given.get("value", "")
        if kind in ("submit", "image"):
            button = Button(name, value)
            form.buttons.append(button)
            self._button = button if tag == "button" else None
        elif name and kind not in ("button", "reset", "file"):
            self._fill(form, kind, name, given)

    def _fill(self, form: Form, kind: str, name: str, given: dict[str, str]) -> None:
        """Set the value of a field that the user submits without changing it, except for a choice to grant access."""
        value, is_checked = given.get("value", ""), "checked" in given
        if kind == "radio":
            if (is_checked or name not in form.fields) and Button(name, value).is_allow:
                form.fields[name] = value
        elif kind == "checkbox":
            if is_checked or "required" in given:
                form.fields[name] = given.get("value", "on")
        else:
            form.fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "button":
            self._button = None

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self._button.text += data


def read_forms(page: Exchange) -> list[Form]:
    """Return the forms of a page with method POST."""
    reader = _Reader(page.url)
    reader.feed(page.text)
    reader.close()
    return reader.forms


def find_allow(page: Exchange) -> tuple[Form, Button] | None:
    """Return the button that grants access, and its form, which must stay on this site."""
    here = urlsplit(page.url)[:2]
    for form in read_forms(page):
        for button in form.buttons:
            if urlsplit(form.action)[:2] == here and button.is_allow:
                return form, button
    return None


def find_obstacle(page: Exchange, target: str) -> str | None:
    """Return the policy directive that stops a browser from following a form of the page to ``target``, or None.

    Browsers apply ``form-action`` to the redirect that answers a form too.
    """
    for policy in _policies(page):
        for directive in filter(str.strip, policy.split(";")):
            name, *sources = directive.split()
            if name.lower() == "form-action":
                if not any(_allows(source, target, page.url) for source in sources):
                    return directive.strip()
                break
    return None


def _policies(page: Exchange) -> Iterator[str]:
    for header in page.headers.getlist("Content-Security-Policy"):
        yield from header.split(",")


def _allows(source: str, target: str, here: str) -> bool:
    """Return whether a source of the policy covers a URL: ``'self'``, ``*``, a scheme, or a host."""
    to = urlsplit(target)
    if source == "'self'":
        return to[:2] == urlsplit(here)[:2]
    if source == "*":
        return to.scheme in ("http", "https")
    if _SCHEME.fullmatch(source):
        return source[:-1].lower() == to.scheme
    return _covers(source, to)


def _covers(source: str, to: SplitResult) -> bool:
    """Return whether a host source, with or without scheme, port and path, covers a URL."""
    scheme, _, rest = source.rpartition("://")
    host, _, path = rest.partition("/")
    name, _, port = host.partition(":")
    is_scheme = not scheme or scheme.lower() == to.scheme
    return is_scheme and _is_host(name, to) and _is_port(port, to) and (not path or to.path.startswith(f"/{path}"))


def _is_host(name: str, to: SplitResult) -> bool:
    host = to.hostname or ""
    return name.lower() == host or (name.startswith("*.") and host.endswith(name[1:].lower()))


def _is_port(port: str, to: SplitResult) -> bool:
    default = {"http": 80, "https": 443}.get(to.scheme)
    return port == "*" or (to.port or default) == (int(port) if port.isdigit() else default)
