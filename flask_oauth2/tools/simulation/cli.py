"""A program on somebody's own machine, :rfc:`8252`: a loopback address of any port, no secret; and a device,
:rfc:`8628`, which has no browser.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ... import addresses
from ...settings import DEVICE_CODE
from .base import ALL_PATHS, Stop, stop_at
from .exchange import Exchange
from .flow import LOGIN_REQUIRED
from .forms import Button, Form, find_allow, read_forms
from .registered import RegisteredClient


class CommandLine(RegisteredClient):
    """It listens where a port is free, which is another each time."""

    who = "a program on somebody's own machine"
    registered_uri = "http://127.0.0.1/callback"
    redirect_uri = "http://127.0.0.1:51004/callback"
    application_type = "native"

    def needed_endpoints(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """A device needs no browser of its own."""
        if not metadata.get("authorization_endpoint") and metadata.get("device_authorization_endpoint"):
            return ("token_endpoint",)
        return super().needed_endpoints(metadata)

    def sign_in(self) -> str:
        """The browser of somebody who is not signed in; where there are devices alone, at the page for the code."""
        return self.look_signed_out(
            "" if self.sends_people else addresses.url_of(self.server, "device", self.sandbox.mount)
        )

    def allow(self) -> str:
        """At another port than is registered; the code is good for who has the verifier alone, :rfc:`7636`."""
        if not self.sends_people:
            return self._connect(self.metadata["device_authorization_endpoint"])
        code, verifier = self.authorize()
        wrong = self.request_token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.redirect_uri,
            code_verifier=secrets.token_urlsafe(96),
        )
        if wrong.status == 200:
            raise Stop(
                "the code is good for another verifier than that of its challenge",
                "rfc7636 4.6",
                "leave the challenge in the row of a code as it is: flask_oauth2.testing has the contract of a store",
            )
        said = self.redeem(code, verifier)
        return (
            f"{said}; port {self.redirect_uri.split(':')[2].partition('/')[0]}, another than is registered, was taken"
        )

    def connect_device(self) -> str:
        """The program shows a code, and the person types it elsewhere."""
        endpoint = self.metadata.get("device_authorization_endpoint")
        if not endpoint:
            return "devices cannot be connected: OAUTH2_GRANT_TYPES does not name device_code"
        return self._connect(endpoint) if self.sends_people else "this was done already, as there is no other way"

    def _connect(self, endpoint: str) -> str:
        more = {"resource": self.resource} if self.resource else {}
        scope = {"scope": self.scope} if self.scope else {}
        asked = self.program("POST", endpoint, form={**self.identity.form, **scope, **more})
        got = asked.json
        if asked.status != 200 or not got.get("user_code"):
            raise stop_at(asked, f"the device gets no code but {asked.status}", "rfc8628 3.2", ALL_PATHS)
        early = self._poll(got["device_code"])
        if early.json.get("error") != "authorization_pending":
            raise stop_at(
                early, f"nobody has decided, and the device is answered {early.status}", "rfc8628 3.5", ALL_PATHS
            )
        self._type_code(got.get("verification_uri_complete") or got["verification_uri"])
        self.sandbox.clock.forward(int(got.get("interval", 5)) + 1)
        self.held = type(self.held)()
        return f"after {got['user_code']} was typed and allowed: {self.keep(self._poll(got['device_code']))}"

    def _poll(self, device_code: str) -> Exchange:
        return self.request_token(grant_type=DEVICE_CODE, device_code=device_code)

    def _type_code(self, url: str) -> None:
        page = self.person("GET", url)
        forms = [form for form in read_forms(page) if "user_code" in form.fields]
        if not forms:
            raise self._no_form(page, "for the code")
        page = self._send(forms[0], None)
        found = find_allow(page)
        if found is None:
            raise self._no_form(page, "to allow it")
        done = self._send(*found)
        if done.status >= 400:
            raise stop_at(done, f"the decision is answered {done.status}", "rfc8628 3.3", ALL_PATHS)

    def _send(self, form: Form, button: Button | None) -> Exchange:
        pressed = {button.name: button.value} if button and button.name else {}
        return self.person("POST", form.action, form=form.fields | pressed)

    def _no_form(self, page: Exchange, purpose: str) -> Stop:
        if page.location:
            return stop_at(
                page,
                f"who is signed in is sent to {page.location.partition('?')[0]}, not to the page for the code",
                "rfc8628 3.3",
                f"{LOGIN_REQUIRED}; with Flask-Login name one of its users by --user",
            )
        return stop_at(
            page,
            f"the page of the device, answered {page.status}, has no form {purpose}",
            "rfc8628 3.3",
            "let your own templates of that page keep its form",
        )

    steps = (
        ("Read the metadata", RegisteredClient.read_metadata),
        ("Call a view without a good token", RegisteredClient.call_view_without),
        ("Send somebody who is not signed in", sign_in),
        ("Ask the person, and redeem the code", allow),
        ("Call a view", RegisteredClient.call_view),
        ("Refresh the token", RegisteredClient.refresh_token),
        ("Connect without a browser", connect_device),
        ("Revoke the token", RegisteredClient.give_up),
    )
