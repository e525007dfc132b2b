"""The signed manifest: nothing but what release signed for this very route is ever handed over."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.errors import ConfigError, DeliveryRefused
from appliance.manifest import MANIFEST, SIGNATURE, Manifest, list_file, open_verified, sign, verify
from appliance.trust import key_id, read_sign_public

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key()
NOW = 1_000_000.0


@dataclass(frozen=True)
class Terms:
    name: str = "pacs"
    place: str = "inside"
    recipient: str = "hospital"
    carries: tuple[str, ...] = ("SR", "SEG")
    policy_digest: str = "0" * 64


ROUTE = Terms()


def manifest_of(folder: Path, **changes) -> Manifest:
    made = Manifest(
        parcel_id="parcel",
        route="pacs",
        recipient="hospital",
        place="inside",
        kind="report",
        policy_digest="0" * 64,
        files=(list_file(folder / "sr.dcm", "SR"), list_file(folder / "seg.dcm", "SEG")),
        created_at=NOW,
        expires_at=NOW + 100,
        key_id=key_id(PUBLIC),
    )
    return replace(made, **changes)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "parcel@token"
    made.mkdir()
    (made / "sr.dcm").write_bytes(b"the report" * 1000)
    (made / "seg.dcm").write_bytes(b"the segmentation")
    return made


@pytest.fixture
def parcel(folder):
    sign(folder, manifest_of(folder), KEY)
    return folder


def refused(folder: Path, *, route: Terms = ROUTE, now: float = NOW, key=PUBLIC) -> str:
    with pytest.raises(DeliveryRefused) as refusal:
        verify(folder, route=route, public_key=key, now=now)
    return str(refusal.value)


def test_a_signed_parcel_is_handed_over_byte_for_byte(parcel):
    with open_verified(parcel, route=ROUTE, public_key=PUBLIC, now=NOW) as verified:
        assert verified.read("sr.dcm") == b"the report" * 1000
        assert verified.files["seg.dcm"].read() == b"the segmentation"
        assert verified.manifest == verify(parcel, route=ROUTE, public_key=PUBLIC, now=NOW)


def test_the_same_manifest_gives_the_same_bytes(parcel):
    before = [(parcel / name).read_bytes() for name in (MANIFEST, SIGNATURE)]
    sign(parcel, manifest_of(parcel), KEY)
    assert [(parcel / name).read_bytes() for name in (MANIFEST, SIGNATURE)] == before


def test_an_unsigned_parcel_never_leaves(folder, parcel):
    (parcel / SIGNATURE).unlink()
    refused(parcel)


def test_a_parcel_without_a_manifest_never_leaves(folder):
    refused(folder)
    refused(folder / "nothing")


def test_a_parcel_signed_by_someone_else_never_leaves(folder):
    stranger = Ed25519PrivateKey.generate()
    sign(folder, manifest_of(folder, key_id=key_id(stranger.public_key())), stranger)
    assert "signature" in refused(folder)


@pytest.mark.parametrize("name", ["sr.dcm", "seg.dcm", MANIFEST, SIGNATURE])
@pytest.mark.parametrize(
    "how", ["altered", "longer", "shorter", "missing", "symlink", "fifo", "folder"]
)
def test_an_altered_file_never_leaves(parcel, tmp_path, name, how):
    path = parcel / name
    content = path.read_bytes()
    path.unlink()
    if how == "altered":
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif how == "longer":
        path.write_bytes(content + b"x")
    elif how == "shorter":
        path.write_bytes(content[:-1])
    elif how == "symlink":
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(content)
        path.symlink_to(elsewhere)
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    refused(parcel)


@pytest.mark.parametrize("name", ["whole_slide.dcm", ".hidden", "manifest.json.bak"])
def test_an_extra_file_stops_the_whole_parcel(parcel, name):
    (parcel / name).write_bytes(b"stowaway")
    assert "exactly" in refused(parcel)


def test_a_parcel_folder_that_is_a_link_never_leaves(parcel, tmp_path):
    link = tmp_path / "link@token"
    link.symlink_to(parcel)
    refused(link)


@pytest.mark.parametrize(
    "route",
    [
        replace(ROUTE, name="other"),
        replace(ROUTE, recipient="university"),
        replace(ROUTE, place="outside", carries=("SR", "SEG")),
    ],
)
def test_a_parcel_for_another_route_never_leaves(parcel, route):
    assert "signed for another" in refused(parcel, route=route)


def test_an_expired_parcel_never_leaves(parcel):
    assert "expired" in refused(parcel, now=NOW + 100)


def test_a_route_gets_only_kinds_that_it_carries(parcel):
    assert "carry" in refused(parcel, route=replace(ROUTE, carries=("SEG",)))


@pytest.mark.parametrize(
    ("place", "kind", "file_kind"),
    [
        ("inside", "tiles", "tiles"),
        ("inside", "report", "tiles"),
        ("outside", "report", "SR"),
        ("outside", "outside_sr", "SR"),
        ("outside", "tiles", "SEG"),
        ("outside", "slide", "slide"),
        ("elsewhere", "report", "SR"),
    ],
)
def test_release_cannot_even_sign_what_a_place_may_not_have(folder, place, kind, file_kind):
    files = (list_file(folder / "sr.dcm", file_kind),)
    (folder / "seg.dcm").unlink()
    with pytest.raises(DeliveryRefused):
        sign(folder, manifest_of_one(files, place=place, kind=kind), KEY)
    assert not (folder / MANIFEST).exists()


def manifest_of_one(files, **changes) -> Manifest:
    made = Manifest(
        parcel_id="parcel",
        route="pacs",
        recipient="hospital",
        place="inside",
        kind="report",
        policy_digest="0" * 64,
        files=files,
        created_at=NOW,
        expires_at=NOW + 100,
        key_id=key_id(PUBLIC),
    )
    return replace(made, **changes)


@pytest.mark.parametrize("name", ["../sr.dcm", "sub/sr.dcm", MANIFEST, "/etc/passwd", ""])
def test_a_manifest_may_only_list_plain_names(folder, name):
    listed = replace(list_file(folder / "sr.dcm", "SR"), name=name)
    with pytest.raises(DeliveryRefused):
        sign(folder, manifest_of_one((listed,)), KEY)


def test_an_empty_manifest_is_refused(folder):
    with pytest.raises(DeliveryRefused):
        sign(folder, manifest_of_one(()), KEY)


def test_a_manifest_in_another_spelling_is_refused(parcel):
    content = (parcel / MANIFEST).read_bytes() + b" "
    (parcel / MANIFEST).write_bytes(content)
    (parcel / SIGNATURE).write_bytes(KEY.sign(b"coverslip/manifest/1\n" + content))
    assert "canonical" in refused(parcel)


def test_a_file_replaced_after_the_check_is_not_what_is_sent(parcel):
    with open_verified(parcel, route=ROUTE, public_key=PUBLIC, now=NOW) as verified:
        (parcel / "sr.dcm").write_bytes(b"a whole slide")
        assert verified.read("sr.dcm") == b"the report" * 1000


def test_the_public_key_is_read_from_its_file(tmp_path):
    path = tmp_path / "sign.pub"
    with pytest.raises(ConfigError):
        read_sign_public(path)
    path.write_bytes(
        PUBLIC.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    assert key_id(read_sign_public(path)) == key_id(PUBLIC)
