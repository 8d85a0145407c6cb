"""The facts about an authorization, and the codec that all stores and token formats share."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from flask_oauth2 import Client
from flask_oauth2.context import EMPTY, Context, decode_context, dump_context, encode_context, load_context
from flask_oauth2.testing.samples import new_authorization, new_context, new_token
from flask_oauth2.tokens.formats.signed import Signed

FACTS = [field.name for field in fields(Context)]

CLIENT = Client(client_id="web")


@pytest.mark.parametrize("fact", FACTS)
def test_each_fact_has_a_default_that_is_not_saved(fact: str) -> None:
    context = new_context(fact)
    assert context != EMPTY
    assert list(encode_context(context) or {}) == [fact]
    assert encode_context(Context()) is None
    assert dump_context(Context()) is None


@pytest.mark.parametrize("fact", FACTS)
def test_each_fact_comes_back_with_its_type(fact: str) -> None:
    context = new_context(fact)
    found = load_context(dump_context(context))
    assert found == decode_context(encode_context(context)) == context
    assert type(getattr(found, fact)) is type(getattr(context, fact))


@pytest.mark.parametrize("fact", FACTS)
def test_each_fact_comes_back_from_a_signed_token(fact: str) -> None:
    signed = Signed([b"key"], "ost", None)
    access = new_token(new_authorization(context=new_context(fact))).access
    assert signed.read(signed.write(access, CLIENT, None)) == access
    assert signed.read(signed.write(replace(access, context=EMPTY), CLIENT, None)) == replace(access, context=EMPTY)


@pytest.mark.parametrize("members", [None, {}])
def test_nothing_saved_is_the_empty_context(members: dict[str, object] | None) -> None:
    assert decode_context(members) is EMPTY
    assert load_context(None) is EMPTY


def test_facts_of_a_newer_release_are_ignored() -> None:
    assert decode_context({"later": 1, "resource": ["a"]}) == Context(resource=("a",))
    assert load_context('{"later":{"a":1}}') == EMPTY


def test_equal_texts_are_parsed_once() -> None:
    text = dump_context(new_context(*FACTS))
    assert load_context(text) is load_context(str(text))
