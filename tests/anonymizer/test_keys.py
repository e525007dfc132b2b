import json
import os
import shutil
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from anonymizer.keys import files as keys
from anonymizer.keys.guessing import is_guessable
from anonymizer.keys.names import names_of
from anonymizer.release.opened import read_keys
from appliance.errors import ConfigError
from appliance.settings import Keys


@pytest.fixture
def folder(tmp_path):
    keys.init_keys(tmp_path / "keys")
    return tmp_path / "keys"


def test_init_makes_every_key_readable_by_its_owner_alone(folder):
    made = [path for path in folder.iterdir() if path.is_file()]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made}
    assert set(modes) == set(keys.NAMES)
    assert {name for name, mode in modes.items() if mode == 0o600} == {
        name for name in modes if name.endswith(".key")
    }
    assert set(modes.values()) == {0o600, 0o644}


def test_init_never_overwrites(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(ConfigError, match="never overwritten"):
        keys.init_keys(folder)
    (folder / "sign.pub").unlink()
    with pytest.raises(ConfigError, match="never overwritten"):
        keys.init_keys(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == {
        name: content for name, content in before.items() if name != "sign.pub"
    }


def test_pairs_fit_together(folder):
    signature = keys.read_sign_key(folder).sign(b"manifest")
    keys.read_sign_pub(folder).verify(signature, b"manifest")
    public = keys.read_seal_key(folder).public_key().public_bytes_raw()
    assert public == keys.read_seal_pub(folder).public_bytes_raw()


def test_two_folders_have_different_keys(folder, tmp_path):
    keys.init_keys(tmp_path / "other")
    assert keys.read_pseudonyms(folder).key_id != keys.read_pseudonyms(tmp_path / "other").key_id


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("00" * 32, "guessed"),
        ("0123456789abcdef" * 4, "guessed"),
        (bytes(range(32)).hex(), "guessed"),
        (bytes(range(255, 223, -1)).hex(), "guessed"),
        (bytes(7 * n % 256 for n in range(32)).hex(), "guessed"),
        (bytes(range(100, 116)).hex() * 2, "guessed"),
        (b"correct horse battery staple 42!".hex(), "guessed"),
        ("ab" * 16, "16 bytes"),
        ("no hexadecimal", "hexadecimal"),
    ],
)
def test_a_guessable_or_damaged_key_is_refused_by_name(folder, content, sentence):
    (folder / "vault.key").write_text(content)
    with pytest.raises(ConfigError, match=sentence) as refused:
        keys.read_secret(folder, "vault.key")
    assert "vault.key" in str(refused.value)
    assert content not in str(refused.value)


@given(st.binary(min_size=1, max_size=16))
def test_whatever_repeats_is_guessable(pattern):
    assert is_guessable((pattern * 32)[:32])


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=32))
def test_whatever_can_be_typed_is_guessable(words):
    assert is_guessable(words.encode()[:32])


def test_a_random_key_is_not_taken_for_a_guessable_one():
    assert not any(is_guessable(os.urandom(32)) for _ in range(20_000))


def test_a_second_key_is_refused_where_only_one_may_be(folder):
    content = (folder / "pseudonym.key").read_text()
    (folder / "pseudonym.key").write_text(content + content)
    with pytest.raises(ConfigError, match="more than one"):
        keys.read_pseudonyms(folder)


def test_a_guessable_private_key_in_pem_is_refused_too(folder):
    (folder / "sign.key").write_bytes(
        keys.private_pem(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    )
    with pytest.raises(ConfigError, match="guessed"):
        keys.read_sign_key(folder)


def test_a_systemd_credential_stands_before_the_file(folder, tmp_path, monkeypatch):
    keys.init_keys(tmp_path / "other")
    handed_over = tmp_path / "credentials"
    handed_over.mkdir()
    for name in ("pseudonym.key", "sign.pub"):
        shutil.copy2(tmp_path / "other" / name, handed_over / name)
    (handed_over / "pseudonym.key").chmod(0o440)  # as systemd does: root, and an ACL for the user
    before = keys.read_pseudonyms(folder).key_id
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed_over))
    assert keys.read_pseudonyms(folder).key_id != before
    assert keys.read_pseudonyms(folder).key_id == keys.read_pseudonyms(tmp_path / "other").key_id
    assert keys.read_sign_pub(folder) == keys.read_sign_pub(tmp_path / "other")
    assert Keys(folder=folder).file("sign.pub") == handed_over / "sign.pub"
    assert Keys(folder=folder).file("seal.pub") == folder / "seal.pub"


def test_a_credential_alone_is_enough(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert keys.read_secret(tmp_path / "nowhere", "vault.key")


def test_names_tell_which_keys_there_are_and_nothing_of_them(folder):
    names = names_of(folder, now=0.0)
    assert set(names) == {"pseudonym", "sampling", "vault", "seal", "sign", "trusted", "retired"}
    assert names["sign"] == names["trusted"]
    said = json.dumps(names)
    for name in keys.SECRETS:
        secret = (folder / name).read_text().strip()
        assert not any(secret[n : n + 16] in said for n in range(len(secret) - 15))
    assert len({value for values in names.values() for value in values}) == 5


@pytest.mark.parametrize("missing", keys.NAMES)
def test_nothing_is_released_while_any_file_is_missing(folder, missing):
    (folder / missing).unlink()
    if missing == "seal.pub":  # release opens with the private key
        read_keys(folder)
        return
    with pytest.raises(ConfigError, match=missing.replace(".", r"\.")):
        read_keys(folder)


def test_a_missing_key_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="keys init"):
        keys.read_pseudonyms(tmp_path)


def test_a_key_that_others_can_read_is_refused(folder):
    (folder / "pseudonym.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        keys.read_pseudonyms(folder)


@pytest.mark.parametrize("name", ["seal.pub", "sign.pub"])
def test_a_public_key_that_everybody_can_change_is_refused(folder, name):
    (folder / name).chmod(0o666)
    with pytest.raises(ConfigError, match="chmod 644"):
        (keys.read_seal_pub if name == "seal.pub" else keys.read_sign_pub)(folder)


def test_a_key_of_another_kind_is_refused(folder):
    (folder / "seal.key").write_bytes((folder / "sign.key").read_bytes())
    with pytest.raises(ConfigError, match="another kind"):
        keys.read_seal_key(folder)
    (folder / "seal.pub").write_text("-----BEGIN NOTHING-----")
    with pytest.raises(ConfigError, match="PEM"):
        keys.read_seal_pub(folder)
