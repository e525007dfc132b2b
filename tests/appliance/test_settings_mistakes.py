"""Every mistake in the settings file is named at its line, and no value is repeated."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import EXIT_CONFIG, ConfigError
from appliance.settings import check, load
from appliance.settings.places import Place, line_of, lines_of

EXAMPLE = (Path(__file__).parents[2] / "docs" / "coverslip.toml").read_text()

AWKWARD = '''a.b = """x
[not.a.table]
"""
"q k" = [1, # a comment with ] and }
 2, {z = 'x # y', w = [ {u = 1} ]},
]
[[r]]
n = 1
[[r.s]]
m = 1979-05-27 07:32:00
[[r]]
[r.t.v]
k = """a\\""" ""
""" # [x]
[y]
'''

ROUTE = """[[routes]]
name = "{name}"
recipient = "{recipient}"
place = "outside"
kind = "folder"
carries = ["tiles"]
folder = "/srv/{name}"
[routes.policy]
mechanism = "coloured_tiles"
statement = "Does not protect against the holder of the slide."
"""
SOUND = '[storage]\nroot = "/var/lib/coverslip"\n[keys]\nfolder = "/etc/coverslip/keys"\n'


def places(value: Any, above: Place = ()) -> Iterator[Place]:
    items = enumerate(value) if isinstance(value, list) else ()
    for key, inner in value.items() if isinstance(value, dict) else items:
        yield (*above, key)
        yield from places(inner, (*above, key))


def test_every_key_of_the_shipped_example_is_found_in_its_line() -> None:
    lines, found = EXAMPLE.splitlines(), lines_of(EXAMPLE)
    for place in places(tomllib.loads(EXAMPLE)):
        key = [part for part in place if isinstance(part, str)][-1]
        assert key in lines[found[place] - 1], place


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("a", "b"), 1),
        (("q k",), 4),
        (("q k", 2, "w", 0, "u"), 5),
        (("r", 0, "n"), 8),
        (("r", 0, "s", 0, "m"), 10),
        (("r", 1), 11),
        (("r", 1, "t"), 12),
        (("r", 1, "t", "v", "k"), 13),
        (("r", 1, "t", "nothing"), 12),
        (("y",), 15),
        (("nothing",), None),
    ],
)
def test_strings_comments_and_inline_tables_hide_no_line(place: Place, line: int | None) -> None:
    assert line_of(place, lines_of(AWKWARD)) == line
    assert set(places(tomllib.loads(AWKWARD))) == set(lines_of(AWKWARD))


NAME = "small letters, digits and dashes are expected, such as scanner-1."
RANGE = "an address or a range is expected, such as 10.0.5.20 or 10.0.5.0/24."


def told(text: str) -> list[str]:
    return [mistake.told("f") for mistake in check(text).mistakes]


def test_all_mistakes_are_named_in_the_order_of_their_lines() -> None:
    text = (
        SOUND.replace("folder", "foldr")
        + '[node]\nport = "a"\nae_title = "much too long a title"\n[inference]\ndevice = "gup"\n'
        + '[[scanners]]\nname = "Scanner A"\nae_title = "X"\naddresses = ["10.0.0.300"]\n'
    )
    assert told(text) == [
        "f line 4: unknown key keys.foldr; did you mean folder?",
        "f line 6: node.port: a whole number is expected.",
        "f line 7: node.ae_title: it may have at most 16 characters.",
        "f line 9: inference.device: auto, cpu or gpu is expected; did you mean gpu?",
        f"f line 11: scanners.0.name: {NAME}",
        f"f line 13: scanners.0.addresses.0: {RANGE}",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[storage\nroot = 1", "f line 1: this is not valid TOML: Expected ']'"),
        ('[storage]\nroot = "x', "f line 2: this is not valid TOML"),
        ("[storage]\nroot = 'x'\n", "f: the key keys is missing."),
        (SOUND + "[keys]\n", "f line 5: this is not valid TOML: Cannot declare"),
        (SOUND + ROUTE.format(name="a", recipient="r") * 2, "f line 16: routes.1.name: two routes"),
        (
            SOUND + ROUTE.format(name="a", recipient="r") + ROUTE.format(name="b", recipient="r"),
            "f line 15: routes.1: the recipient r has two routes for tiles.",
        ),
        (
            SOUND + ROUTE.format(name="a", recipient="r") + 'colludes_with = ["q"]',
            "f line 15: routes.0.policy.colludes_with: route a: no recipient q gets tiles.",
        ),
        (
            SOUND.replace("/var/lib/coverslip", "/srv") + ROUTE.format(name="a", recipient="r"),
            "f line 11: routes.0.folder: the folder of route a lies in storage.root",
        ),
    ],
)
def test_what_does_not_fit_another_value_has_a_line_too(text: str, sentence: str) -> None:
    assert told(text)[0].startswith(sentence)


def test_a_value_is_never_repeated(tmp_path: Path) -> None:
    text = SOUND + '[node]\nport = "hunter2"\ntls = "hunter2"\nlisteners = "hunter2"\n'
    assert len(told(text)) == 3
    assert "hunter2" not in "".join(told(text))
    file = tmp_path / "coverslip.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"line 6: .* There are 2 more mistakes\.$"):
        load(file)


def test_check_config_names_every_mistake_and_ends_with_78(tmp_path: Path) -> None:
    file = tmp_path / "coverslip.toml"
    file.write_text(SOUND + "[node]\nport = -1\nlisteners = 99\n")
    command = [sys.executable, "-m", "appliance", "--settings", str(file), "check-config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == EXIT_CONFIG
    assert "coverslip.toml line 6: node.port: it has to be at least 0." in done.stderr
    assert "coverslip.toml line 7: node.listeners: it may be at most 16." in done.stderr


def test_digests_tell_which_table_differs_and_nothing_of_a_password() -> None:
    ours = check(SOUND).settings
    other = check(SOUND + "[node]\nport = 104\n[journal]\nurl = 'postgresql://u:p@h/d'\n").settings
    assert ours is not None
    assert other is not None
    differ = {name for name in ours.digests if ours.digests[name] != other.digests[name]}
    assert differ == {"node"}
