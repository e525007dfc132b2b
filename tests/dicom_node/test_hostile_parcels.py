"""On no kind of route does anything leave that release did not sign for that very route.

The attacker of these tests writes every outbox and every row of the journal, at any moment: the
deliver daemon of another route that was taken over, or whoever holds the journal. What it lacks is
the signing key.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import manifest
from appliance.line import State
from appliance.manifest import MANIFEST, SIGNATURE, Manifest
from dicom_node.routes.folder import FolderRoute
from tests.dicom_node.doors import KEY, KINDS, ROUTES, Door, Swapping, sign_anything


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Door]]:
    folder = tmp_path_factory.mktemp("doors")
    made = {name: Door(folder, name) for name in ROUTES}
    yield made
    for door in made.values():
        door.journal._engine.dispose()


def unsigned(door: Door) -> None:
    (door.signed() / SIGNATURE).unlink()


def without_a_manifest(door: Door) -> None:
    (door.signed() / MANIFEST).unlink()


def signed_by_a_stranger(door: Door) -> None:
    folder, stranger = door.signed(), Ed25519PrivateKey.generate()
    made = Manifest.from_bytes((folder / MANIFEST).read_bytes())
    mine = replace(made, key_id=manifest.key_id(stranger.public_key()))
    sign_anything(folder, mine, stranger)


def altered_by_a_bit(door: Door) -> None:
    file = door.signed() / "two"
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])


def altered_in_the_manifest(door: Door) -> None:
    file = door.signed() / MANIFEST
    table = json.loads(file.read_bytes())
    table["expires_at"] += 1e6
    file.write_bytes(json.dumps(table, sort_keys=True, separators=(",", ":")).encode())


def one_file_twice(door: Door) -> None:
    folder = door.signed()
    shutil.copy(folder / "one", folder / "two")


def with_a_stowaway(door: Door) -> None:
    (door.signed() / "label.dcm").write_bytes(b"a whole slide")


def with_one_missing(door: Door) -> None:
    (door.signed() / "one").unlink()


def by_a_symbolic_link(door: Door) -> None:
    file = door.signed() / "one"
    file.rename(door.outbox / "elsewhere")
    file.symlink_to(door.outbox / "elsewhere")


def by_a_link_for_a_folder(door: Door) -> None:
    folder = door.signed()
    folder.rename(door.outbox / "moved")
    folder.symlink_to(door.outbox / "moved")


def by_a_pipe(door: Door) -> None:
    file = door.signed() / "one"
    file.unlink()
    os.mkfifo(file)


def expired(door: Door) -> None:
    door.signed(expires_at=time.time())


def before_its_day(door: Door) -> None:
    door.signed(not_before=time.time() + 3600)


def under_a_policy_that_was_changed(door: Door) -> None:
    door.signed(policy_digest="0" * 64)


def for_another_recipient(door: Door) -> None:
    door.signed(recipient="somebody-else")


def of_another_parcel(door: Door) -> None:
    door.signed(parcel_id="parcel").rename(door.outbox / "kept")
    other = door.signed("other")
    other.rename(door.outbox / "parcel@token")


def of_a_kind_for_another_place(door: Door) -> None:
    kind = "tiles" if door.route.place == "inside" else "report"
    door.signed(kind=kind)


def of_files_that_the_route_does_not_carry(door: Door) -> None:
    file_kind = "tiles" if door.route.name in KINDS else "SR"
    folder = door.signed()
    made = Manifest.from_bytes((folder / MANIFEST).read_bytes())
    files = tuple(replace(file, kind=file_kind) for file in made.files)
    sign_anything(folder, replace(made, files=files), KEY)


ATTACKS = (
    unsigned,
    without_a_manifest,
    signed_by_a_stranger,
    altered_by_a_bit,
    altered_in_the_manifest,
    one_file_twice,
    with_a_stowaway,
    with_one_missing,
    by_a_symbolic_link,
    by_a_link_for_a_folder,
    by_a_pipe,
    expired,
    before_its_day,
    under_a_policy_that_was_changed,
    for_another_recipient,
    of_another_parcel,
    of_a_kind_for_another_place,
    of_files_that_the_route_does_not_carry,
)


def clear(door: Door) -> None:
    shutil.rmtree(door.outbox)
    door.outbox.mkdir()
    door.wire.left.clear()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_on_no_route_anything_leaves(
    doors: dict[str, Door], attack: Callable[[Door], None]
) -> None:
    for door in doors.values():
        clear(door)
        attack(door)
        said = door.offer("parcel@token")
        assert door.wire.left == [], door.route.name
        assert said.endswith("."), said


def test_what_was_signed_for_the_route_leaves_byte_by_byte(doors: dict[str, Door]) -> None:
    """The control: nothing but the attack keeps those parcels back."""
    for door in doors.values():
        clear(door)
        door.signed()
        assert door.offer("parcel@token") == State.DONE
        assert door.wire.left == [{"one": b"the first product" * 99, "two": b"the second product"}]


def test_no_parcel_leaves_on_any_route_but_its_own(doors: dict[str, Door]) -> None:
    for door in doors.values():
        clear(door)
    signed = {name: door.signed() for name, door in doors.items()}
    for name, folder in signed.items():
        for other in doors.values():
            if other.route.name != name:
                stolen = other.outbox / "stolen@token"
                shutil.copytree(folder, stolen)
                assert "another route" in other.offer("stolen@token")
                assert other.wire.left == []
                shutil.rmtree(stolen)


@pytest.mark.parametrize(
    "folder",
    [
        "",
        ".",
        "..",
        "../registry/parcel@token",
        "parcel@token/.",
        "/etc",
        "parcel@token\x00",
        "x" * 5000,
        "another@token",
    ],
    ids=lambda name: ascii(name[:20]),
)
def test_no_row_of_the_journal_leads_elsewhere(doors: dict[str, Door], folder: str) -> None:
    door = doors["pacs"]
    clear(door)
    shutil.copytree(door.signed(), door.outbox / "kept@token")
    assert door.offer(folder).endswith(".")
    assert door.wire.left == []


def test_a_raced_replace_sends_what_was_signed_or_nothing(tmp_path: Path) -> None:
    """Of one length, so that only the hash can tell; the deliverer goes on until both happened."""
    received = tmp_path / "university"
    received.mkdir()
    door = Door(tmp_path, "folder")
    door.deliverer = replace(door.deliverer, carrier=FolderRoute(folder=received))
    folder = door.signed()
    signed = (folder / "one").read_bytes()
    seen = dict.fromkeys(("sent", "refused"), 0)
    with Swapping(folder / "one", bytes(len(signed))) as race:
        deadline = time.monotonic() + 20
        while min(seen.values()) < 10 and time.monotonic() < deadline:
            sent = door.offer("parcel@token") == State.DONE
            seen["sent" if sent else "refused"] += 1
            there = [path.read_bytes() for path in received.glob("one")]
            assert there == ([signed] if sent else [])
            shutil.rmtree(received)
            received.mkdir()
    door.journal._engine.dispose()
    assert race.n_swaps > 100
    assert min(seen.values()) >= 10, seen
