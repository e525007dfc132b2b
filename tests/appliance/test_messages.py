"""Every error that any package can raise is explained, once, and the page of messages says so."""

import re

import pytest

from appliance import command
from appliance.control import AnsweredError
from appliance.errors import ForbiddenAction, PeerUnavailable, TransientError
from appliance.messages import FATES, MESSAGES, PROTOCOL, SET_ASIDE_BY_OPERATOR, Fate, message
from docs import messages_doc
from docs.sentences import BASE, Source, code_of

LONGEST_CODE = 32
"""As wide as the journal's column is."""
FAMILIES = {
    "ConfigError": Fate.STOP,
    "TransientError": Fate.AGAIN,
    "RejectedError": Fate.ASIDE,
    "ForbiddenAction": Fate.NOTHING,
}


@pytest.fixture(scope="module")
def source() -> Source:
    """All source of the packages."""
    return Source()


def test_every_error_of_every_package_is_in_the_table_and_nothing_else(source):
    classes = source.error_classes()
    codes = {code_of(name, classes) for name in classes}
    assert len(classes) > 40  # the search itself works
    assert MESSAGES.keys() == codes | {SET_ASIDE_BY_OPERATOR, PROTOCOL}


def test_codes_that_a_store_writes_without_an_error_are_in_the_table(source):
    written = re.compile(r"""error_code["']?\s*[:=]=?\s*["']([^"']+)["']""")
    for module in source.modules:
        assert set(written.findall(module.path.read_text("utf-8"))) <= MESSAGES.keys()


def test_only_the_table_says_what_to_do_about_a_code(source):
    own = {name for name, one in source.error_classes().items() if one.next_step}
    assert own == {BASE}


def test_the_fate_in_the_table_is_that_of_the_family_of_the_error(source):
    classes = source.error_classes()
    for name in classes:
        family = name
        while family not in FAMILIES and family != BASE:
            family = classes[family].base
        assert message(code_of(name, classes)).fate is FAMILIES.get(family, Fate.NOTHING), name


@pytest.mark.parametrize("code", MESSAGES)
def test_every_message_is_a_short_title_and_whole_sentences(code):
    found = MESSAGES[code]
    assert len(code) <= LONGEST_CODE
    assert len(found.title) <= 60
    assert not found.title.endswith(".")
    for sentence in (found.cause, found.next_step, FATES[found.fate]):
        assert sentence[0].isupper()
        assert sentence.endswith(".")


def test_no_two_codes_have_the_same_title():
    titles = [found.title for found in MESSAGES.values()]
    assert len(titles) == len(set(titles))


def test_a_code_of_a_newer_version_reads_as_any_error_does():
    assert message("of-next-year") == message(None) == MESSAGES["error"]


def test_an_error_gives_the_next_step_of_its_code_and_a_class_without_one_that_of_its_base():
    class Slower(PeerUnavailable):
        """The same trouble by another name."""

    assert ForbiddenAction.next_step == MESSAGES["forbidden-action"].next_step
    assert Slower("Too slow.").next_step == PeerUnavailable.next_step
    assert Slower.next_step != TransientError.next_step


def test_a_command_says_the_next_step_of_the_daemon_that_refused(monkeypatch, capsys):
    def refuse(_arguments):
        raise AnsweredError("This slide is held.", "forbidden-action", "Let it go on first.")

    monkeypatch.setattr("appliance.commands.run_check_config", refuse)
    assert command.main(["check-config"]) == command.EXIT_REFUSED
    assert "held.\n           Let it go on first." in capsys.readouterr().err


def test_the_page_of_messages_is_made_of_the_source_as_it_is(source):
    written = messages_doc.FILE.read_text("utf-8")
    assert written == messages_doc.page(source), ".venv/bin/python -m docs.messages_doc"


def test_sentences_are_followed_through_names_conditions_and_functions(tmp_path):
    (tmp_path / "appliance").mkdir()
    (tmp_path / "appliance" / "thing.py").write_text(
        """
class ApplianceError(Exception): code = "error"
class Broken(ApplianceError): code = "broken"

WORDS = "The lamp is dark."
ENDS = {1: "one end is loose", 2: "two ends are loose"}

def check(lamp, end):
    if lamp: raise Broken(WORDS)
    if end: raise Broken(f"At {lamp.name}, {ENDS[end]}.")
    text = "It is off." if lamp.off else "It is on."
    raise Broken(text)

def bad(words): return Broken(f"The plug {words}.")

def plug(): raise bad("does not fit") from None

def ends(): raise Broken(_told())

def _told(): return "Nobody {} knows.".format("here")
""",
        encoding="utf-8",
    )
    source = Source(tmp_path)
    classes = source.error_classes()
    assert code_of("Broken", classes) == "broken"
    assert source.said("Broken") == [
        "At …, one end is loose.",
        "At …, two ends are loose.",
        "It is off.",
        "It is on.",
        "Nobody … knows.",
        "The lamp is dark.",
        "The plug does not fit.",
    ]
