"""The settings file: checked before anything starts, and every mistake is one clear sentence."""

from pathlib import Path

import pytest

from appliance.errors import ConfigError
from appliance.settings import Settings, load
from appliance.slides.classes import ARTIFACTS

SOUND = """
[storage]
root = "/var/lib/coverslip"
[keys]
folder = "/etc/coverslip/keys"
"""

INSIDE = """
[[routes]]
name = "pacs"
recipient = "hospital"
place = "inside"
kind = "dimse"
carries = ["SR", "SEG"]
addresses = ["10.1.0.0/16"]
peer = { ae_title = "PACS", host = "10.1.0.9", port = 104 }
waiver = "The PACS speaks no TLS; decided by IT."
"""

TILES = """
[[routes]]
name = "tiles"
recipient = "university"
place = "outside"
kind = "folder"
carries = ["tiles"]
folder = "/srv/tiles"
[routes.policy]
mechanism = "coloured_tiles"
statement = "Does not protect against the holder of the slide."
"""

BARE = (
    TILES.replace('"tiles"', '"sr"', 1)
    .replace('["tiles"]', '["outside_sr"]')
    .replace("coloured_tiles", "bare_report")
)


def parsed(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "coverslip.toml"
    file.write_text(text)
    return load(file)


def sentence(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(tmp_path, text)
    return str(caught.value)


def test_a_small_file_gets_safe_defaults(tmp_path: Path) -> None:
    settings = parsed(tmp_path, SOUND + INSIDE + TILES)
    assert settings.node.ae_title == "COVERSLIP"
    assert settings.route("tiles").policy is not None
    assert settings.journal_url == "sqlite:////var/lib/coverslip/journal/journal.db"


def test_the_example_that_is_shipped_is_sound() -> None:
    load(Path(__file__).parents[2] / "docs" / "coverslip.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            SOUND.replace("[keys]", "[node]\nae_titel = 'X'\n[keys]"),
            "unknown key node.ae_titel; did you mean ae_title?",
        ),
        (SOUND + INSIDE.replace("recipient", "recipiant"), "did you mean recipient?"),
        (SOUND + TILES.replace("statement", "min_patient = 3\nstatement"), "mean min_patients?"),
        (SOUND + "[nod]\nport = 1", "unknown key nod; did you mean node?"),
        ("[storage]\nroot = '/x'", "the key keys is missing"),
        ("[storage", "is not valid TOML"),
        (SOUND + "[node]\nport = 'a'", "node.port"),
        (SOUND + "[node]\nport = 70000", "node.port"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    said = sentence(tmp_path, text)
    assert said.startswith("coverslip.toml")
    assert words in said


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (INSIDE.replace("10.1.0.9", "8.8.8.8"), "inside addresses"),
        (INSIDE.replace("10.1.0.9", "pacs.hospital.example"), "inside addresses"),
        (INSIDE.replace('["SR", "SEG"]', '["tiles"]'), "or originals only"),
        (TILES.replace('"outside"', '"inside"'), "kind dimse"),
        (TILES.replace('["tiles"]', '["tiles", "outside_sr"]'), "nothing else"),
        (TILES.replace('["tiles"]', '["SR"]'), "nothing else"),
        (TILES.split("[routes.policy]", maxsplit=1)[0], "needs a policy"),
        (TILES + "crop_px = 250\n", "0.75"),
        (TILES + "um_px = 0.1\n", "16 µm"),
        (TILES + "colours = 2\ncolour = 2\n", "below colours"),
        (
            TILES
            + TILES.replace('"tiles"', '"sr"', 1)
            .replace('["tiles"]', '["outside_sr"]')
            .replace("coloured_tiles", "bare_report"),
            "both",
        ),
        (INSIDE + INSIDE, "same name"),
    ],
)
def test_a_route_that_would_let_too_much_out_is_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    assert words in sentence(tmp_path, SOUND + text)


@pytest.mark.parametrize("key", ["rescan", "review"])
def test_limits_name_artifacts_of_the_class_map_and_no_others(tmp_path: Path, key: str) -> None:
    limits = {kind.key: 0.5 for kind in ARTIFACTS}
    text = f"{SOUND}[verdict.{key}]\n" + "\n".join(f"{name} = 0.5" for name in limits)
    assert getattr(parsed(tmp_path, text).verdict, key) == limits
    assert sentence(tmp_path, text.replace("out_of_focus", "out_of_fokus")) == (
        f"coverslip.toml line 11: verdict.{key}.out_of_fokus: there is no artifact out_of_fokus; "
        "did you mean out_of_focus?"
    )


def test_an_unknown_route_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean pacs"):
        parsed(tmp_path, SOUND + INSIDE).route("pcs")


ARCHIVE = """
[[routes]]
name = "archive"
recipient = "hospital"
place = "inside"
kind = "stow"
carries = ["originals"]
addresses = ["10.1.0.0/16"]
web = { url = "https://10.1.0.9/dicom-web" }
"""

SCANNER = """
[[scanners]]
name = "scanner-1"
ae_title = "SCANNER1"
addresses = ["10.0.5.0/24"]
"""


def test_one_pacs_may_get_reports_and_originals(tmp_path: Path) -> None:
    settings = parsed(tmp_path, SOUND + INSIDE + ARCHIVE)
    assert [route.is_archive for route in settings.routes] == [False, True]
    assert settings.route("archive").hosts == ("10.1.0.9",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (INSIDE.replace("waiver", "# waiver"), "it needs tls, or a waiver"),
        (ARCHIVE.replace("https:", "http:"), "it needs tls, or a waiver"),
        (ARCHIVE.replace('"originals"', '"originals", "SR"'), "originals only"),
        (ARCHIVE.replace('"inside"', '"outside"'), "nothing else"),
        (ARCHIVE.replace("10.1.0.9", "8.8.8.8"), "inside addresses"),
        (SCANNER + '[scanners.commitment]\nmeans = "own"\n', "host is missing"),
        (
            SCANNER + '[scanners.commitment]\nmeans = "after_archive"\nhost = "10.0.5.1"\n',
            "needs a route that carries originals, with a confirmation",
        ),
        (
            (INSIDE + "confirmation = { report_port = 11113 }\n")
            + (INSIDE + "confirmation = { report_port = 11113 }\n").replace('"pacs"', '"other"'),
            "same confirmation.report_port",
        ),
        (SCANNER + SCANNER.replace("scanner-1", "scanner-2"), "same AE title"),
        ('[dicomweb]\nhost = "0.0.0.0"\n', "dicomweb needs tls"),
        ('[node.tls]\ncertificate = "a"\nkey = "b"\n', "ca is missing"),
    ],
)
def test_a_link_or_promise_that_cannot_hold_is_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    assert words in sentence(tmp_path, SOUND + text)
