"""The technician's two pages name every sign, word, heading and key as the tables have them."""

import re
from pathlib import Path

import pytest

from tui import words
from tui.actions import ACTIONS, MOVES
from tui.keys import shown_key
from tui.snapshot import GROUPS

DOCS = Path(__file__).parents[2] / "docs"
COLOURS = {"good": "green", "bad": "red", "warn": "yellow", "busy": "blue", "quiet": "grey"}
MOST_LINES = 100
"""Two pages."""


@pytest.fixture(scope="module")
def page() -> str:
    """The page."""
    return (DOCS / "technician.md").read_text("utf-8")


def test_every_sign_stands_there_with_its_word_and_colour(page: str):
    signs = [
        *words.STATES.values(),
        words.TO_COME,
        *words.VERDICTS.values(),
        *words.MARKS.values(),
        words.SUPERSEDED,
    ]
    rows = re.findall(r"^\| (\S) \| (\w+) \| ([\w ]+) \|", page, re.MULTILINE)
    assert rows == [(word.glyph, COLOURS[word.tone], word.text) for word in signs]


def test_every_word_of_a_delivery_stands_there_with_its_sign(page: str):
    text = " ".join(page.split())
    for word in words.DELIVERIES.values():
        assert f"{word.glyph} {word.text}" in text


def test_every_heading_of_the_worklist_stands_there_in_its_order(page: str):
    rows = re.findall(r"^\| ([A-Z][\w ]+) \|", page, re.MULTILINE)
    assert rows == [group.title for group in GROUPS.values()]


def test_every_key_that_is_named_is_one_and_what_a_technician_needs_is_named(page: str):
    named = set(re.findall(r"`([^`\s]|enter|escape|ctrl\+p)`", page))
    bound = {shown_key(one.key): one.name for one in (*ACTIONS, *MOVES)}
    assert named - bound.keys() <= {"enter", "escape", "ctrl+p"}
    left_to_the_help = {"pause_daemon", "go_on_daemon", "label", "copy"}
    assert set(bound.values()) - {bound.get(key) for key in named} <= left_to_the_help


def test_there_are_ten_tasks_on_two_pages(page: str):
    assert len(re.findall(r"^\d+\. \*\*", page, re.MULTILINE)) == 10
    assert len(page.splitlines()) <= MOST_LINES


def test_pictures_and_pages_that_it_points_to_are_there(page: str):
    for target in re.findall(r"\]\(([\w.-]+)\)", page):
        assert (DOCS / target).is_file(), target
