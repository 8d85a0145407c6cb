"""Every requirement has a test or a reason, and every mark names a requirement."""

from __future__ import annotations

import re

import pytest
from requirements import LEVELS, Document, Requirement, find_holding, read_documents, read_tests

DOCUMENTS = read_documents()
TESTS = read_tests()
REQUIREMENTS = [(document, requirement) for document in DOCUMENTS for requirement in document.requirements]


@pytest.mark.parametrize(
    ("document", "requirement"), REQUIREMENTS, ids=[f"{document.name}-{line.number}" for document, line in REQUIREMENTS]
)
def test_a_requirement_has_a_test_or_a_reason(document: Document, requirement: Requirement) -> None:
    assert re.fullmatch(r"R\d+", requirement.number)
    assert requirement.level in LEVELS
    assert bool(find_holding(document, requirement, TESTS)) is not bool(requirement.not_covered)


@pytest.mark.parametrize("document", DOCUMENTS, ids=[document.name for document in DOCUMENTS])
def test_no_number_is_left_out_unless_a_note_says_so(document: Document) -> None:
    numbers = [int(line.number[1:]) for line in document.requirements]
    assert document.note or numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_test_that_is_not_there_is_missed() -> None:
    line = Requirement("R1", "1", "MUST", "It is.", ("test_nothing_of_that_name",), "")
    with pytest.raises(LookupError, match="R1 names test_nothing_of_that_name"):
        find_holding(DOCUMENTS[0], line, TESTS)


def test_every_mark_names_a_known_section() -> None:
    """Or one that such a section is part of."""
    known = set()
    for document, line in REQUIREMENTS:
        for section in line.sections:
            parts = section.split(".")
            known |= {(document.name, ".".join(parts[:size])) for size in range(1, len(parts) + 1)}
    marks = {mark for test in TESTS for mark in test.marks}
    assert marks
    assert sorted(marks - known) == []


def test_marks_are_read_wherever_they_stand() -> None:
    marks = {test.name: test.marks for test in TESTS}
    contract = "flask_oauth2/testing/contract.py::TestIssue::test_a_code_is_spent_once"
    assert ("rfc6749", "4.1.2") in marks[contract]
    assert ("rfc6749", "5.1") in marks["tests/endpoints/test_token.py::test_the_response_is_json_with_no_store"]
