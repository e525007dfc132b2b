"""Whom the settings let notices go to, and how: each refusal is one sentence that names the key."""

import re
from pathlib import Path

import pytest

from appliance.errors import ConfigError
from appliance.settings import Settings, load
from appliance.supervisor import daemon_commands
from tui.health import daemons_of

EXAMPLE = Path(__file__).parents[2] / "docs" / "coverslip.toml"
BASE = '[storage]\nroot = "/var/lib/coverslip"\n[keys]\nfolder = "/etc/coverslip/keys"\n'
WEBHOOK = (
    BASE
    + """
[notices]
addresses = ["10.0.0.0/8"]
webhook = { url = "https://10.0.3.4/hook" }
"""
)
EMAIL = WEBHOOK.replace(
    "webhook = {", 'email = { host = "mail.example", sender = "a@x.de", to = ["b@x.de"] }\n#'
)


def parsed(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "coverslip.toml"
    file.write_text(text)
    return load(file)


def test_nobody_is_told_unless_the_settings_say_so(tmp_path: Path) -> None:
    settings = parsed(tmp_path, BASE)
    assert settings.notices is None
    assert "notify" not in daemon_commands(settings)
    assert "notify" in daemon_commands(parsed(tmp_path, WEBHOOK))
    assert "notify" in daemon_commands(parsed(tmp_path, EMAIL))


def test_the_screen_looks_for_the_daemons_that_are_started(tmp_path: Path) -> None:
    for text in (BASE, WEBHOOK):
        settings = parsed(tmp_path, text)
        assert set(daemons_of(settings)) == set(daemon_commands(settings))


def test_the_table_of_the_shipped_example_is_sound(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").split("# [notices]", 1)[1].splitlines()
    table = ["[notices]"]
    for line in lines[1:]:
        if not line.startswith("# "):
            break
        table.append(line.removeprefix("# "))
    settings = parsed(tmp_path, BASE + "\n".join(table))
    assert settings.notices is not None
    assert len(settings.notices.receivers) == 2
    assert settings.notices.quiet_hours


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (re.sub(r"addresses.*", "", WEBHOOK), "the key notices.addresses is missing"),
        (WEBHOOK.replace("10.0.3.4", "192.0.2.1"), "192.0.2.1 does not lie in notices.addresses"),
        (re.sub(r"webhook.*", "", WEBHOOK), "notices need a webhook or an email table"),
        (WEBHOOK.replace("https:", "http:"), "it needs TLS, or a waiver"),
        (WEBHOOK.replace("//10", "//me:secret@10"), "a url holds no user and no password"),
        (
            WEBHOOK.replace("https:", "http:").replace(
                " }\n", ', token_file = "/t", waiver = "because I said so" }\n'
            ),
            "a secret is not sent in clear text",
        ),
        (WEBHOOK.replace(" }\n", ', path_file = "/p" }\n'), "the url is to end with /"),
        (WEBHOOK + 'quiet_hours = "7-19"', "notices.quiet_hours"),
        (WEBHOOK + 'quiet_hours = "07:00-07:00"', "nothing would ever be sent"),
        (WEBHOOK + 'tell = ["rescans"]', "notices.tell"),
        (WEBHOOK + 'quite_hours = ""', "did you mean quiet_hours?"),
        (EMAIL.replace('"a@x.de"', '"a@x.de\\nBcc: c@x.de"'), "notices.email.sender"),
        (EMAIL.replace('["b@x.de"]', '["Anna Meier"]'), "notices.email.to"),
        (EMAIL.replace("sender", 'user = "u", sender'), "user and password_file go together"),
        (EMAIL.replace("sender", 'security = "none", sender'), "it needs TLS, or a waiver"),
        (
            EMAIL.replace(
                "sender",
                'security = "none", waiver = "because I said so", user = "u", '
                'password_file = "/p", sender',
            ),
            "a password is not sent in clear text",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(tmp_path, text)
    assert words in str(caught.value)
