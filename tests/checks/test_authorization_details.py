"""``authorization_details``: permissions that a scope cannot express, RFC 9396."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from devices import Device, Person, add_device_client

from flask_oauth2 import AuthorizationDetailsType, Client, ConfigurationError, current_token
from oauth_site import Site, answer_of

PAYMENT = {"type": "payment", "actions": ["initiate", "status"], "amount": {"currency": "EUR", "value": "45.00"}}
READ = {"type": "https://files.example/access", "actions": ["list", "read"], "locations": ["https://files.example"]}

Make = Callable[..., Site]


@pytest.fixture
def make_bank(new_site: Make) -> Make:
    """Returns a site with two types of authorization details."""

    def make(**options: Any) -> Site:
        site = new_site(**options)
        provider = site.provider

        @provider.authorization_details(
            "payment", required={"amount": dict, "actions": list}, optional={"creditor": str}, is_remembered=False
        )
        def payment(detail: dict[str, Any], client: Client) -> str:
            if detail["amount"]["currency"] != "EUR":
                raise ValueError("amount.currency must be EUR")
            return f"Pay {detail['amount']['value']} EUR to {detail.get('creditor', 'anybody')}"

        @payment.enrich
        def choose_account(detail: dict[str, Any], user_id: str | None) -> dict[str, Any] | None:
            if detail.get("creditor") == "Nobody":
                return None
            return {**detail, "account": f"account of {user_id}"}

        @provider.authorization_details(
            READ["type"], required={"actions": list}, optional={"locations": list, "depth": int, "deep": bool}
        )
        def access(detail: dict[str, Any], client: Client) -> str:
            return f"{client.name} may {' and '.join(detail['actions'])} files"

        @site.app.get("/details")
        @provider.require_oauth
        def details() -> Any:
            return current_token.authorization_details

        return site

    return make


@pytest.fixture
def bank(make_bank: Make) -> Site:
    return make_bank()


@pytest.fixture
def secret(bank: Site) -> str:
    return bank.add_client()


def ask(site: Site, *details: Any, scope: str | None = None, **parameters: Any) -> Any:
    site.sign_in()
    return site.ask(scope=scope, authorization_details=json.dumps(details), **parameters)


def tokens_of(site: Site, secret: str, *details: Any, **parameters: Any) -> dict[str, Any]:
    page = ask(site, *details, **parameters)
    code = answer_of(site.allow(page) if page.status_code == 200 else page)["code"]
    answer = site.redeem(code, ("web", secret))
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


GRANTED = {**PAYMENT, "account": "account of ada"}


@pytest.mark.spec("rfc9396", "7")
@pytest.mark.spec("rfc9396", "9.1")
@pytest.mark.spec("rfc9396", "9.2")
@pytest.mark.parametrize("token_format", ["opaque", "signed", "jwt"])
def test_what_was_granted_reaches_client_and_resource_server(make_bank: Make, token_format: str) -> None:
    options = {"OAUTH2_SIGNING_ALGORITHMS": ["ES256"]} if token_format == "jwt" else {}
    site = make_bank(OAUTH2_ACCESS_TOKEN_FORMAT=token_format, **options)
    secret = site.add_client()
    first = tokens_of(site, secret, PAYMENT, READ)
    assert "scope" not in first
    second = site.refresh(first["refresh_token"], secret).get_json()
    for tokens in (first, second):
        assert tokens["authorization_details"] == [GRANTED, READ]
        assert site.call(tokens["access_token"], "/details").get_json() == [GRANTED, READ]
        described = site.post("/introspect", ("web", secret), token=tokens["access_token"]).get_json()
        assert described["authorization_details"] == [GRANTED, READ]


@pytest.mark.spec("rfc9396", "9.1")
def test_a_json_web_token_has_the_claim(make_bank: Make) -> None:
    from jwt import decode

    site = make_bank(OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_SIGNING_ALGORITHMS=["ES256"])
    token = tokens_of(site, site.add_client(), READ)["access_token"]
    assert decode(token, options={"verify_signature": False})["authorization_details"] == [READ]


@pytest.mark.spec("rfc9396", "3.1")
def test_scope_and_details_are_shown_and_granted_together(bank: Site, secret: str) -> None:
    page = ask(bank, PAYMENT, scope="profile")
    assert "See your name" in page.text
    assert "Pay 45.00 EUR to anybody" in page.text
    code = answer_of(bank.allow(page))["code"]
    answer = bank.redeem(code, ("web", secret)).get_json()
    assert (answer["scope"], answer["authorization_details"]) == ("profile", [GRANTED])


@pytest.mark.spec("rfc9396", "3")
def test_a_request_without_scope_gets_no_default_scope(make_bank: Make) -> None:
    site = make_bank(OAUTH2_DEFAULT_SCOPE="profile")
    secret = site.add_client()
    assert "scope" not in tokens_of(site, secret, READ)
    assert site.tokens(secret, scope=None)["scope"] == "profile"


WRONG: dict[str, Any] = {
    "no JSON": "x",
    "an object": json.dumps(PAYMENT),
    "no element": "[]",
    "a string": '["payment"]',
    "no type": '[{"actions": ["read"]}]',
    "a type that is no string": '[{"type": 7}]',
    "an unknown type": '[{"type": "loan"}]',
    "an unknown field": json.dumps([{**PAYMENT, "currency": "EUR"}]),
    "a field of the wrong type": json.dumps([{**PAYMENT, "amount": "45.00"}]),
    "true for a number": json.dumps([{**READ, "depth": True}]),
    "a number for a boolean": json.dumps([{**READ, "deep": 1}]),
    "an empty list": json.dumps([{**PAYMENT, "actions": []}]),
    "a list of numbers": json.dumps([{**PAYMENT, "actions": [1]}]),
    "a missing field": json.dumps([{"type": "payment", "actions": ["initiate"]}]),
    "an invalid value": json.dumps([{**PAYMENT, "amount": {"currency": "USD", "value": "1"}}]),
    "a missing member of a value": json.dumps([{**PAYMENT, "amount": {}}]),
    "a value of the wrong form": json.dumps([{**PAYMENT, "amount": {"currency": []}}]),
    "one valid and one invalid": json.dumps([READ, {"type": "loan"}]),
    "a duplicate member": '[{"type": "payment", "type": "payment"}]',
    "a number that is none": '[{"type": "payment", "amount": NaN}]',
    "a number that is not finite": json.dumps([PAYMENT]).replace('"45.00"', "1e400"),
    "a lone surrogate": json.dumps([PAYMENT]).replace("45.00", "\\ud800"),
    "many values": json.dumps([{**READ, "actions": ["a"] * 500}]),
    "deep nesting": json.dumps([{**PAYMENT, "amount": json.loads("[" * 20 + "]" * 20)}]),
    "very deep nesting": "[" * 5000,
    "many elements": json.dumps([READ] * 21),
    "a long text": json.dumps([{**READ, "actions": ["x" * 10_000]}]),
}


@pytest.mark.spec("rfc9396", "2")
@pytest.mark.spec("rfc9396", "5")
@pytest.mark.parametrize("details", WRONG.values(), ids=WRONG)
def test_invalid_details_are_rejected(bank: Site, secret: str, details: str) -> None:
    bank.sign_in()
    answer = answer_of(bank.ask(scope=None, authorization_details=details))
    assert (answer["error"], answer["state"]) == ("invalid_authorization_details", "st-1")
    answer = bank.token("client_credentials", ("web", secret), authorization_details=details)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_authorization_details")


@pytest.mark.spec("rfc9396", "5")
def test_a_server_without_types_rejects_all(site: Site) -> None:
    """The client must not take its permission for granted."""
    secret = site.add_client()
    assert answer_of(ask(site, READ))["error"] == "invalid_authorization_details"
    tokens = site.tokens(secret)
    answer = site.refresh(tokens["refresh_token"], secret, authorization_details=json.dumps([READ]))
    assert answer.get_json()["error"] == "invalid_authorization_details"


@pytest.mark.spec("rfc9396", "12")
def test_no_value_is_logged(bank: Site, secret: str, caplog: pytest.LogCaptureFixture) -> None:
    for wrong in ({**PAYMENT, "iban": "DE40100100103307118608"}, {**PAYMENT, "amount": "DE40100100103307118608"}):
        ask(bank, wrong)
    assert "unknown field iban" in caplog.text
    assert "DE40" not in caplog.text


@pytest.mark.spec("rfc9396", "12")
def test_text_of_the_client_is_plain_text_on_the_page(bank: Site, secret: str) -> None:
    creditor = "<b>Shop</b>\u202eevil\n\n" + "x" * 1000
    text = ask(bank, {**PAYMENT, "creditor": creditor}).text
    assert "&lt;b&gt;Shop&lt;/b&gt; evil" in text
    assert "\u202e" not in text
    assert "xxx…</li>" in text


@pytest.mark.spec("rfc9396", "7.1")
def test_the_user_may_grant_less(bank: Site, secret: str) -> None:
    nobody = {**PAYMENT, "creditor": "Nobody"}
    assert tokens_of(bank, secret, nobody, READ)["authorization_details"] == [READ]
    assert answer_of(bank.allow(ask(bank, nobody)))["error"] == "access_denied"


class TestRemembered:
    """An earlier consent replaces the page only if it covers the details."""

    @pytest.mark.spec("rfc9396", "11.2")
    def test_the_same_or_less_is_not_asked_again(self, bank: Site, secret: str) -> None:
        tokens_of(bank, secret, READ)
        assert "code" in answer_of(ask(bank, READ))
        less = {**READ, "actions": ["read"]}
        assert "code" in answer_of(ask(bank, less, less))
        assert tokens_of(bank, secret, less)["authorization_details"] == [less]

    @pytest.mark.spec("rfc9396", "11.2")
    @pytest.mark.parametrize(
        "more",
        [
            {**READ, "actions": ["list", "write"]},
            {**READ, "locations": ["https://other.example"]},
            {"type": READ["type"], "actions": READ["actions"]},
            {**READ, "depth": 1},
        ],
    )
    def test_more_is_asked(self, bank: Site, secret: str, more: Any) -> None:
        tokens_of(bank, secret, READ)
        assert bank.allow(ask(bank, more)).status_code == 303
        assert "code" in answer_of(ask(bank, more))
        assert "code" in answer_of(ask(bank, READ, more))

    @pytest.mark.spec("rfc9396", "11.2")
    def test_a_scope_that_was_allowed_covers_no_details(self, bank: Site, secret: str) -> None:
        bank.tokens(secret)
        page = ask(bank, READ, scope="profile")
        assert page.status_code == 200
        assert answer_of(ask(bank, READ, scope="profile", prompt="none"))["error"] == "consent_required"

    @pytest.mark.spec("rfc9396", "11.2")
    def test_what_is_used_once_is_always_asked(self, bank: Site, secret: str) -> None:
        tokens_of(bank, secret, PAYMENT)
        assert ask(bank, PAYMENT).status_code == 200

    @pytest.mark.spec("rfc9396", "3.1")
    def test_the_page_marks_what_is_new(self, bank: Site, secret: str) -> None:
        tokens_of(bank, secret, READ, scope="profile")
        text = ask(bank, READ, PAYMENT, scope="profile").text
        assert "Now it asks for more, which is marked." in text
        assert "list and read files</li>" in text
        assert 'Pay 45.00 EUR to anybody <strong class="new">New</strong>' in text
        text = ask(bank, READ, scope="profile", prompt="consent").text
        assert "It asks for nothing new." in text

    def test_numbers_and_booleans_differ(self, bank: Site, secret: str) -> None:
        tokens_of(bank, secret, {**READ, "depth": 1})
        assert ask(bank, {**READ, "depth": 2}).status_code == 200
        assert "code" in answer_of(ask(bank, {**READ, "depth": 1}))


class TestNarrowing:
    """Token requests for less than was granted, section 6."""

    @pytest.mark.spec("rfc9396", "6")
    @pytest.mark.spec("rfc9396", "6.1")
    def test_less_does_not_change_the_grant(self, bank: Site, secret: str) -> None:
        tokens = tokens_of(bank, secret, PAYMENT, READ)
        less = {**PAYMENT, "actions": ["status"]}
        narrowed = bank.refresh(tokens["refresh_token"], secret, authorization_details=json.dumps([less])).get_json()
        assert narrowed["authorization_details"] == [{**less, "account": "account of ada"}]
        assert bank.call(narrowed["access_token"], "/details").get_json() == narrowed["authorization_details"]
        whole = bank.refresh(narrowed["refresh_token"], secret).get_json()
        assert whole["authorization_details"] == [GRANTED, READ]
        assert bank.call(whole["access_token"], "/details").get_json() == [GRANTED, READ]

    @pytest.mark.spec("rfc9396", "6")
    def test_a_code_may_be_redeemed_for_less(self, bank: Site, secret: str) -> None:
        code = answer_of(bank.allow(ask(bank, PAYMENT, READ)))["code"]
        tokens = bank.redeem(code, ("web", secret), authorization_details=json.dumps([READ])).get_json()
        assert tokens["authorization_details"] == [READ]

    @pytest.mark.spec("rfc9396", "6")
    @pytest.mark.spec("rfc9396", "8")
    @pytest.mark.parametrize(
        "more",
        [
            {**PAYMENT, "actions": ["initiate", "cancel"]},
            {**PAYMENT, "amount": {"currency": "EUR", "value": "46.00"}},
            {**PAYMENT, "creditor": "Shop"},
            READ,
        ],
    )
    def test_more_is_rejected_and_nothing_is_spent(self, bank: Site, secret: str, more: Any) -> None:
        tokens = tokens_of(bank, secret, PAYMENT)
        answer = bank.refresh(tokens["refresh_token"], secret, authorization_details=json.dumps([more]))
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_authorization_details")
        assert bank.refresh(tokens["refresh_token"], secret).status_code == 200

    @pytest.mark.spec("rfc9396", "6")
    def test_an_account_that_the_user_chose_cannot_be_sent(self, bank: Site, secret: str) -> None:
        tokens = tokens_of(bank, secret, PAYMENT)
        other = {**PAYMENT, "account": "account of bob"}
        answer = bank.refresh(tokens["refresh_token"], secret, authorization_details=json.dumps([other]))
        assert answer.get_json()["error"] == "invalid_authorization_details"

    @pytest.mark.spec("rfc9396", "6")
    def test_comparison_belongs_to_the_type(self, bank: Site) -> None:
        @bank.provider.authorization_details("limit", required={"limit": int})
        def limit(detail: dict[str, Any], client: Client) -> str:
            return f"Pay up to {detail['limit']}"

        @limit.covers
        def covers(granted: dict[str, Any], requested: dict[str, Any]) -> bool:
            return bool(requested["limit"] <= granted["limit"])

        secret = bank.add_client()
        tokens = tokens_of(bank, secret, {"type": "limit", "limit": 100})
        for amount, status in ((101, 400), (50, 200)):
            details = json.dumps([{"type": "limit", "limit": amount}])
            assert bank.refresh(tokens["refresh_token"], secret, authorization_details=details).status_code == status
        assert "code" in answer_of(ask(bank, {"type": "limit", "limit": 99}))


class TestAudience:
    """A token has the details of its audience only, section 9.1."""

    @pytest.mark.spec("rfc9396", "9.1")
    @pytest.mark.spec("rfc9396", "3.2")
    def test_locations_decide(self, make_bank: Make) -> None:
        site = make_bank(OAUTH2_RESOURCES={"https://files.example": {}, "https://pay.example": {}})
        secret = site.add_client()
        resource = ["https://files.example", "https://pay.example"]
        code = answer_of(site.allow(ask(site, READ, PAYMENT, resource=resource)))["code"]
        tokens = site.redeem(code, ("web", secret), resource="https://pay.example").get_json()
        assert tokens["authorization_details"] == [GRANTED]
        other = site.refresh(tokens["refresh_token"], secret, resource="https://files.example").get_json()
        assert other["authorization_details"] == [READ, GRANTED]

    @pytest.mark.spec("rfc9396", "3.2")
    def test_details_need_no_resource(self, make_bank: Make) -> None:
        site = make_bank(OAUTH2_RESOURCES={"https://files.example": {"scopes": ["profile"]}})
        secret = site.add_client()
        assert tokens_of(site, secret, READ)["authorization_details"] == [READ]


@pytest.mark.spec("rfc9396", "3")
def test_a_response_with_a_token_has_them_as_json(make_bank: Make) -> None:
    site = make_bank(OAUTH2_GRANT_TYPES=["implicit"])
    site.add_client()
    answer = answer_of(
        site.allow(ask(site, PAYMENT, response_type="token", code_challenge=None, code_challenge_method=None))
    )
    assert json.loads(answer["authorization_details"]) == [GRANTED]
    assert site.call(answer["access_token"], "/details").get_json() == [GRANTED]


class TestClients:
    @pytest.mark.spec("rfc9396", "10")
    def test_a_client_may_be_registered_for_some_types(self, bank: Site) -> None:
        secret = bank.add_client(metadata={"authorization_details_types": ["payment"]})
        assert tokens_of(bank, secret, PAYMENT)["authorization_details"] == [GRANTED]
        assert answer_of(ask(bank, READ))["error"] == "invalid_authorization_details"

    @pytest.mark.spec("rfc9396", "6")
    def test_a_client_that_acts_for_itself_must_be_registered(self, bank: Site) -> None:
        details = json.dumps([PAYMENT])
        for metadata, registered_by, status in (
            ({}, "", 400),
            ({"authorization_details_types": [READ["type"]]}, "", 400),
            ({"authorization_details_types": ["payment"]}, "open", 400),
            ({"authorization_details_types": ["payment"]}, "", 200),
        ):
            secret = bank.add_client(metadata=metadata, registered_by=registered_by)
            answer = bank.token("client_credentials", ("web", secret), authorization_details=details)
            assert answer.status_code == status, answer.text
        expected = [{**PAYMENT, "account": "account of None"}]
        assert answer.get_json()["authorization_details"] == expected
        assert bank.call(answer.get_json()["access_token"], "/details").get_json() == expected

    @pytest.mark.spec("rfc9396", "10")
    def test_metadata_list_the_types(self, bank: Site, site: Site) -> None:
        path = "/.well-known/oauth-authorization-server"
        assert bank.http.get(path).get_json()["authorization_details_types_supported"] == ["payment", READ["type"]]
        assert "authorization_details_types_supported" not in site.http.get(path).get_json()

    @pytest.mark.spec("rfc9396", "10")
    def test_registration_accepts_known_types(self, make_bank: Make) -> None:
        site = make_bank(OAUTH2_DYNAMIC_REGISTRATION="open")
        body: dict[str, Any] = {"redirect_uris": ["https://client.example/back"]}
        for types, status in ((["payment"], 201), (["loan"], 400), ("payment", 400)):
            answer = site.http.post("/oauth/register", json={**body, "authorization_details_types": types})
            assert answer.status_code == status
        assert answer.get_json()["error"] == "invalid_client_metadata"


class TestDevice:
    @pytest.mark.spec("rfc9396", "3")
    def test_a_device_may_request_them(self, make_bank: Make) -> None:
        site = make_bank(OAUTH2_GRANT_TYPES=["device_code", "refresh_token"])
        add_device_client(site)
        device, person = Device(site, authorization_details=json.dumps([PAYMENT])), Person(site)
        page = person.type(device.user_code)
        assert "Pay 45.00 EUR to anybody" in page.text
        person.press(page)
        tokens = device.poll().get_json()
        assert tokens["authorization_details"] == [GRANTED]
        assert site.call(tokens["access_token"], "/details").get_json() == [GRANTED]

    @pytest.mark.spec("rfc9396", "5")
    def test_invalid_details_of_a_device_are_rejected(self, make_bank: Make) -> None:
        site = make_bank(OAUTH2_GRANT_TYPES=["device_code"])
        add_device_client(site)
        form = {"client_id": "tv", "authorization_details": '[{"type": "loan"}]'}
        assert site.post("/device_authorization", **form).get_json()["error"] == "invalid_authorization_details"


def test_a_custom_consent_page_receives_them(make_bank: Make) -> None:
    bank = make_bank()
    seen: list[Any] = []

    @bank.provider.authorize_handler
    def consent(authorization_details: Any, **_: Any) -> bool:
        seen.extend(authorization_details)
        return True

    bank.add_client()
    assert "code" in answer_of(ask(bank, PAYMENT))
    assert seen == [PAYMENT]


@pytest.mark.spec("rfc9396", "3.1")
def test_a_custom_consent_page_that_does_not_take_them_fails(make_bank: Make) -> None:
    """The user would allow what no page shows."""
    bank = make_bank()
    bank.provider.authorize_handler(lambda **request: True)
    bank.add_client()
    bank.sign_in()
    assert "code" in answer_of(bank.ask())
    with pytest.raises(ConfigurationError, match="authorization_details"):
        ask(bank, PAYMENT)


def test_the_page_of_applications_shows_what_is_remembered(bank: Site, secret: str) -> None:
    tokens_of(bank, secret, PAYMENT, READ)
    text = bank.browser.get("/oauth/applications").text
    assert "web may list and read files" in text
    assert "Know that you are signed in here" not in text
    assert "Pay" not in text


@pytest.mark.parametrize(
    ("required", "message"),
    [
        ({"amount": "dict"}, "amount"),
        ({"amount": set}, "amount"),
        ({"type": str}, "type"),
        ({"actions": str}, "actions"),
        ({7: str}, "7"),
    ],
)
def test_a_type_with_wrong_fields_fails_at_registration(site: Site, required: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        site.provider.authorization_details("payment", required=required)(lambda detail, client: "")


def test_a_type_is_registered_once(bank: Site) -> None:
    with pytest.raises(ConfigurationError, match="authorization_details payment"):
        bank.provider.authorization_details("payment", required={})(lambda detail, client: "")


@pytest.mark.parametrize(
    "granted", ["text", {"type": "other"}, {}, {"type": "a", "value": {1}}, {"type": "a", "value": float("nan")}]
)
def test_wrong_results_of_enrich_name_it(granted: Any) -> None:
    kind = AuthorizationDetailsType("a", lambda detail, client: "text", {}, {})
    kind.enrich(lambda detail, user_id: granted)
    with pytest.raises(ConfigurationError, match="enrich"):
        kind.grant({"type": "a"}, "ada")


@pytest.mark.parametrize("text", ["", " ", None, 7])
def test_a_type_without_description_names_it(text: Any) -> None:
    kind = AuthorizationDetailsType("a", lambda detail, client: text, {}, {})
    with pytest.raises(ConfigurationError, match="text of the consent page"):
        kind.check({"type": "a"}, Client(client_id="web"))
