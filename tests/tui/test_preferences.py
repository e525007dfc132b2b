"""A technician's own file: what is wrong in it is a sentence, and the rest counts."""

import tomllib
from pathlib import Path

import pytest

from tui.actions import ACTIONS, MOVES
from tui.keys import default_keys, shown_key
from tui.preferences import Preferences, checked_keys, keep_theme, place, read


def written(folder: Path, text: str) -> Path:
    path = folder / "screen.toml"
    path.write_text(text)
    return path


def test_without_a_file_all_is_as_the_table_has_it(tmp_path: Path):
    assert read(tmp_path / "screen.toml") == Preferences()


def test_it_lies_where_the_desktop_standard_says(monkeypatch: pytest.MonkeyPatch):
    assert place({"XDG_CONFIG_HOME": "/etc/own"}) == Path("/etc/own/coverslip/screen.toml")
    monkeypatch.setenv("HOME", "/home/anna")
    assert place({}) == Path("/home/anna/.config/coverslip/screen.toml")


def test_all_that_it_may_say_is_taken(tmp_path: Path):
    text = 'theme = "light"\nbell = false\ndesktop = "osc9"\n[keys]\nhold = "f5"\nlog = "H"\n'
    assert read(written(tmp_path, text)) == Preferences(
        theme="light", bell=False, desktop="osc9", keys={"hold": "f5", "log": "H"}
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("theme = ", "is no valid TOML"),
        ('thema = "light"', "there is no setting thema; did you mean theme."),
        ('theme = "pink"', "theme is one of dark, light, contrast, grey."),
        ('bell = "no"', "bell is true or false."),
        ('desktop = "maybe"', "desktop is one of auto,"),
        ("keys = 3", "[keys] holds lines"),
        ('[keys]\nholt = "j"', "there is no action holt; did you mean hold."),
        ('[keys]\nhold = "jj"', "hold: that is no key"),
        ("[keys]\nhold = 3", "hold: that is no key"),
        ('[keys]\nhold = "enter"', "enter moves through the screen"),
        ('[keys]\nhold = "ctrl+s"', "terminals keep ctrl+s for themselves"),
        ('[keys]\nhold = "r"', "the key r is given to hold and retry."),
    ],
)
def test_a_mistake_is_a_sentence_and_the_rest_counts(tmp_path: Path, text: str, sentence: str):
    found = read(written(tmp_path, text))
    (mistake,) = found.mistakes
    assert sentence in mistake
    assert found.keys == {}
    assert (found.theme, found.bell, found.desktop) == ("", True, "auto")


def test_two_keys_may_change_places_and_a_freed_one_may_be_taken():
    assert checked_keys({"hold": "u", "resume": "h"}) == ({"hold": "u", "resume": "h"}, [])
    assert checked_keys({"hold": "f5", "log": "h"}) == ({"hold": "f5", "log": "h"}, [])


def test_after_a_clash_no_key_is_given_twice():
    keys, mistakes = checked_keys({"hold": "r", "resume": "h", "log": "?", "theme": "f2"})
    bound = default_keys() | keys
    assert len(set(bound.values())) == len(bound)
    assert keys == {"theme": "f2"}
    assert len(mistakes) == 3


def test_a_theme_is_kept_and_the_rest_of_the_file_is_left_as_it_is(tmp_path: Path):
    path = written(tmp_path, '# mine\nbell = false\n\n[keys]\nhold = "f5"  # easier\n')
    assert keep_theme(path, "light") == ""
    assert keep_theme(path, "grey") == ""
    assert path.read_text().startswith('theme = "grey"\n# mine\nbell = false\n')
    assert 'hold = "f5"  # easier' in path.read_text()
    assert tomllib.loads(path.read_text())["keys"] == {"hold": "f5"}


@pytest.mark.parametrize("text", ["theme = \n", '"th\\u0065me" = "dark"\n'])
def test_a_file_that_is_not_understood_is_never_written(tmp_path: Path, text: str):
    path = written(tmp_path, text)
    assert "could not be kept" in keep_theme(path, "light")
    assert path.read_text() == text


def test_a_quoted_key_is_the_same_key_and_a_link_stays_one(tmp_path: Path):
    path = written(tmp_path, "bell = false\n'theme' = \"dark\"\n")
    link = tmp_path / "own" / "screen.toml"
    link.parent.mkdir()
    link.symlink_to(path)
    assert keep_theme(link, "light") == ""
    assert link.is_symlink()
    assert path.read_text() == 'bell = false\ntheme = "light"\n'


def test_the_page_about_the_screen_has_the_table_as_it_is():
    page = (Path(__file__).parents[2] / "docs" / "screen.md").read_text()
    for one in (*ACTIONS, *MOVES):
        assert f"| `{one.name}` | {shown_key(one.key)} | {one.sentence} |" in page


def test_a_name_that_a_terminal_would_obey_is_told_without_it(tmp_path: Path):
    mistakes = read(
        written(tmp_path, '"\\u001b[2J" = 1\n[keys]\n"\\u001b]52;c;x" = "j"\n')
    ).mistakes
    assert len(mistakes) == 2
    assert not any("\x1b" in mistake for mistake in mistakes)
