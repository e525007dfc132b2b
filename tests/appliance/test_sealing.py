"""Sealing: who seals cannot read, and what is sealed opens for its own slide only."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydicom import Dataset

from appliance.errors import ConfigError, IdentityDoubt
from appliance.sealing import CellCipher, open_sealed, read_seal_public, seal
from appliance.slides.identity import SealedIdentity, identity_of

KEY = X25519PrivateKey.generate()
PUBLIC = KEY.public_key()
PLACE = {"table": "identity", "row": "slide-1", "column": "sealed"}


def pem(key) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def header() -> Dataset:
    made = Dataset()
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    made.SOPInstanceUID = "1.2.3.4"
    made.StudyInstanceUID = "1.2.3.1"
    made.SeriesInstanceUID = "1.2.3.2"
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName = "Müller^Änne"
    nested = Dataset()
    nested.SpecimenUID = "1.2.3.9"
    made.SpecimenDescriptionSequence = [nested]
    made.PixelData = b"\0" * 10
    made["PixelData"].VR = "OB"
    return made


def test_what_is_sealed_for_a_slide_opens_for_that_slide():
    sealed = seal(PUBLIC, b"Zebrafinch", "slide-1")
    assert b"Zebrafinch" not in sealed
    assert open_sealed(KEY, sealed, "slide-1") == b"Zebrafinch"


def test_two_sealings_of_the_same_content_look_unlike():
    assert seal(PUBLIC, b"same", "slide-1") != seal(PUBLIC, b"same", "slide-1")


@pytest.mark.parametrize("change", ["slide", "key", "bit", "end", "start", "empty"])
def test_what_was_moved_altered_or_sealed_to_another_key_does_not_open(change):
    key, sealed, slide = KEY, seal(PUBLIC, b"content", "slide-1"), "slide-1"
    if change == "slide":
        slide = "slide-2"
    elif change == "key":
        key = X25519PrivateKey.generate()
    elif change == "bit":
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    elif change == "end":
        sealed = sealed[:-1]
    elif change == "start":
        sealed = b"x" + sealed
    else:
        sealed = b""
    with pytest.raises(IdentityDoubt):
        open_sealed(key, sealed, slide)


def test_the_public_key_is_read_from_its_file(tmp_path):
    path = tmp_path / "seal.pub"
    path.write_bytes(pem(PUBLIC))
    sealed = seal(read_seal_public(path), b"content", "slide-1")
    assert open_sealed(KEY, sealed, "slide-1") == b"content"


@pytest.mark.parametrize(
    "content", [None, b"", b"no key", pem(Ed25519PrivateKey.generate().public_key())]
)
def test_a_missing_or_foreign_public_key_is_named(tmp_path, content):
    path = tmp_path / "seal.pub"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"seal\.pub"):
        read_seal_public(path)


def test_a_cell_opens_in_its_own_place_only():
    cipher = CellCipher(key=b"k" * 32)
    cell = cipher.encrypt(b"content", **PLACE)
    assert cipher.decrypt(cell, **PLACE) == b"content"
    for other in ({"table": "pooled"}, {"row": "slide-2"}, {"column": "other"}):
        with pytest.raises(IdentityDoubt):
            cipher.decrypt(cell, **(PLACE | other))
    with pytest.raises(IdentityDoubt):
        CellCipher(key=b"l" * 32).decrypt(cell, **PLACE)
    with pytest.raises(IdentityDoubt):
        cipher.decrypt(b"", **PLACE)


def test_a_vault_key_of_another_length_is_refused():
    with pytest.raises(ConfigError):
        CellCipher(key=b"short")


def test_an_identity_is_the_same_after_encoding():
    identity = identity_of(header(), [header()])
    again = SealedIdentity.from_bytes(identity.to_bytes())
    assert again == identity
    assert again.dataset().PatientName == "Müller^Änne"


def test_an_identity_holds_no_pixels_and_every_uid():
    identity = identity_of(header(), [header()])
    assert "PixelData" not in identity.dataset()
    assert {"1.2.3.4", "1.2.3.1", "1.2.3.2", "1.2.3.9"} <= set(identity.uids)
    assert identity.instances[0].sop_instance_uid == "1.2.3.4"


@pytest.mark.parametrize("cut", [0, 5, 22, 30, 60])
def test_a_damaged_identity_is_refused(cut):
    content = identity_of(header(), [header()]).to_bytes()
    with pytest.raises(IdentityDoubt):
        SealedIdentity.from_bytes(content[:cut])


def test_an_identity_without_a_readable_header_is_refused():
    with pytest.raises(IdentityDoubt):
        SealedIdentity(header=b"not DICOM", instances=(), uids=()).dataset()
