"""How values can be spelled, and that whatever is spelled is found again."""

import base64
import datetime as dt
import string
import unicodedata
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymizer.gate.spellings import (
    compared,
    date_spellings,
    dates_in,
    encoded,
    orders,
    percent_encoded,
    spelled,
    squashed,
    stands_alone,
    words_of,
    wrapped,
)

NAMES = st.text(string.ascii_letters + "äöüßéøłÅñ", min_size=2, max_size=12)
DATES = st.dates(dt.date(1900, 1, 1), dt.date(2099, 12, 31))


def test_a_name_is_spelled_in_every_order_and_with_initials():
    found = {squashed(one) for one in orders("Lindqvist^Astrid^Maria")}
    assert {"lindqvistastrid", "astridlindqvist", "alindqvist", "lindqvista"} <= found
    assert "astridmarialindqvist" in found


def test_every_group_of_a_name_is_spelled():
    found = orders("Yamada^Tarou=山田^太郎=やまだ^たろう")
    assert {"山田太郎", "太郎 山田", "やまだ たろう", "Tarou Yamada"} <= found


@given(family=NAMES, given_name=NAMES, glue=st.sampled_from(["", " ", "^", ", ", "_", ".", "-"]))
def test_however_two_names_are_joined_they_compare_equal_to_a_spelling(family, given_name, glue):
    known = {squashed(one) for one in orders(f"{family}^{given_name}")}
    assert squashed(f"{given_name}{glue}{family}") in known
    assert squashed(f"{family}{glue}{given_name}".upper()) in known


@given(text=NAMES, form=st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_compositions_accents_and_cases_do_not_matter(text, form):
    assert compared(unicodedata.normalize(form, text)) == compared(text)
    assert words_of(unicodedata.normalize(form, text).upper()) == words_of(text.upper())


def test_umlauts_are_spelled_as_people_and_machines_do():
    assert {"Muller", "Mueller", "Müller"} <= spelled("Müller")


def test_leading_zeros_are_left_off():
    assert "12345" in spelled("0012345")


@given(date=DATES)
def test_a_date_is_found_in_the_usual_spellings(date):
    known = date_spellings(f"{date:%Y}", f"{date:%m}", f"{date:%d}")
    for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%y", "%d-%b-%Y"):
        assert f"{date:{form}}".lower() in known
    assert f"{date:%B} {date.day}, {date.year}".lower() in known


@given(
    date=DATES,
    form=st.sampled_from(["%Y%m%d", "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y"]),
    before=st.sampled_from(["", "on ", "("]),
    after=st.sampled_from(["", ".", " at noon", ")"]),
)
def test_a_date_in_a_text_is_read(date, form, before, after):
    expected = (f"{date:%Y}", f"{date:%m}", f"{date:%d}")
    assert expected in dates_in(f"{before}{date:{form}}{after}")


@pytest.mark.parametrize("value", ["20250417101500", "20250417101500.123", "20250417+0100"])
def test_a_date_with_a_time_is_read(value):
    assert dates_in(value) == {("2025", "04", "17")}


@pytest.mark.parametrize("value", ["1202504171", "2025041", "20251317", "1.20250417", "99999999"])
def test_numbers_are_no_dates(value):
    assert dates_in(value) <= {("2025", "04", "17")}
    assert not dates_in(value) or value == "1.20250417"


@given(before=st.binary(max_size=7), inside=st.binary(min_size=6, max_size=30), after=st.binary())
def test_base64_is_found_wherever_the_value_starts(before, inside, after):
    whole = base64.b64encode(before + inside + after)
    assert any(one in whole for one in wrapped(inside))


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_percent_encoding_is_that_of_urls(text):
    assert percent_encoded(text) == urllib.parse.quote(text, safe="")


def test_a_text_is_encoded_in_every_way_that_has_its_letters():
    found = set(encoded("Würzburg"))
    for name in ("utf-8", "utf-16-le", "utf-16-be", "latin-1"):
        assert "Würzburg".encode(name) in found
    assert b"W%C3%BCrzburg" in found


@pytest.mark.parametrize(
    ("before", "found", "after", "counts"),
    [
        (b"", b"19510417", b"", True),
        (b" ", b"19510417", b"\\", True),
        (b"3", b"19510417", b" ", False),
        (b" ", b"19510417", b"1", False),
        (b".", b"1.2.3", b"", False),
        (b"", b"1.2.3", b".", False),
        (b"3", b"LINDQVIST", b"4", True),
    ],
)
def test_a_number_counts_only_by_itself(before, found, after, counts):
    assert stands_alone(before, found, after) is counts
