import stat

import pytest

from anonymizer.keys import files as keys
from appliance.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    keys.init_keys(tmp_path / "keys")
    return tmp_path / "keys"


def test_init_makes_every_key_readable_by_its_owner_alone(folder):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes) == set(keys.NAMES)
    assert all(mode == (0o644 if name.endswith(".pub") else 0o600) for name, mode in modes.items())


def test_init_never_overwrites(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConfigError, match="never overwritten"):
        keys.init_keys(folder)
    (folder / "sign.pub").unlink()
    with pytest.raises(ConfigError, match="never overwritten"):
        keys.init_keys(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
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


def test_a_missing_key_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="keys init"):
        keys.read_pseudonyms(tmp_path)


def test_a_key_that_others_can_read_is_refused(folder):
    (folder / "pseudonym.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        keys.read_pseudonyms(folder)


def test_a_key_of_another_kind_is_refused(folder):
    (folder / "seal.key").write_bytes((folder / "sign.key").read_bytes())
    with pytest.raises(ConfigError, match="another kind"):
        keys.read_seal_key(folder)
    (folder / "seal.pub").write_text("-----BEGIN NOTHING-----")
    with pytest.raises(ConfigError, match="PEM"):
        keys.read_seal_pub(folder)
