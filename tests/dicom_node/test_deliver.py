"""Deliver sends what release signed for its route, whole and once; anything else stays."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import manifest
from appliance.errors import ConfigError, DeliveryRefused, PeerUnavailable
from appliance.line import DeliveryStatus, Parcel, State
from appliance.manifest import Manifest, list_file
from appliance.settings import ColouredTiles, Peer, Route
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from dicom_node.deliver.daemon import Carrier, Deliverer, carrier_of
from dicom_node.peer import ArchivePeer
from dicom_node.routes.delivery import Delivery
from dicom_node.routes.dicom import DicomRoute
from dicom_node.routes.folder import FolderRoute
from dicom_node.send.sender import Endpoint, send
from dicom_node.status import PeerFailed, check_answer
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import Image, data_set_offset, write
from tests.dicom_node.real_peers import free_port

KEY = Ed25519PrivateKey.generate()
SR = "1.2.840.10008.5.1.4.1.1.88.34"
YEAR_S = 365 * 86_400.0


@dataclass(kw_only=True)
class Line:
    """A journal, an outbox, and one route into it."""

    folder: Path
    journal: Journal
    route: Route
    carrier: Carrier
    offset_s: float = 0.0

    @property
    def outbox(self) -> Path:
        return self.folder / "outbox" / self.route.name

    def deliverer(self) -> Deliverer:
        return Deliverer(
            journal=self.journal,
            route=self.route,
            outbox=self.outbox,
            open_parcel=partial(
                manifest.open_verified, route=self.route, public_key=KEY.public_key()
            ),
            carrier=self.carrier,
        )

    def hand_over(self, *files: Path, kind: str, file_kind: str, **changes: object) -> Path:
        """Put a signed parcel into the outbox and the journal, as release does."""
        folder = self.outbox / f"parcel-{time.monotonic_ns()}@token"
        folder.mkdir(parents=True)
        for file in files:
            (folder / file.name).write_bytes(file.read_bytes())
        parcel_id = folder.name.partition("@")[0]
        made = Manifest(
            parcel_id=parcel_id,
            route=self.route.name,
            recipient=self.route.recipient,
            place=self.route.place,
            kind=kind,
            policy_digest=self.route.policy_digest,
            files=tuple(list_file(folder / file.name, file_kind) for file in files),
            created_at=time.time(),
            expires_at=time.time() + YEAR_S,
            key_id=manifest.key_id(KEY.public_key()),
        )
        manifest.sign(folder, replace(made, **changes), KEY)  # type: ignore[arg-type]
        self.announce(parcel_id, kind, folder.name)
        return folder

    def announce(self, parcel_id: str, kind: str, folder: str) -> None:
        parcel = Parcel(
            parcel_id=parcel_id, route=self.route.name, kind=kind, folder=folder, slide_id=None
        )
        with self.journal._engine.begin() as connection:
            self.journal.parcels.add(connection, parcel)

    def status(self) -> DeliveryStatus:
        (only,) = self.journal.board.shards()
        return only


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(open_engine(f"sqlite:///{tmp_path}/journal.db", store="journal"))


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[tuple[ArchivePeer, int]]:
    archive = ArchivePeer(folder=tmp_path / "pacs")
    yield archive, archive.start(ae_title="PACS", host="127.0.0.1", port=0)
    archive.stop()


def _inside(port: int) -> Route:
    return Route(
        name="pacs",
        recipient="hospital",
        place="inside",
        kind="dimse",
        carries=("SR", "SEG"),
        addresses=(ip_network("127.0.0.0/8"),),
        peer=Peer(ae_title="PACS", host="127.0.0.1", port=port),
    )


def _outside(folder: Path) -> Route:
    return Route(
        name="tiles",
        recipient="university",
        place="outside",
        kind="folder",
        carries=("tiles",),
        folder=folder,
        policy=ColouredTiles(
            mechanism="coloured_tiles", statement="Protects against nothing here."
        ),
    )


@pytest.fixture
def dimse(tmp_path: Path, journal: Journal, peer: tuple[ArchivePeer, int]) -> Line:
    route = _inside(peer[1])
    return Line(folder=tmp_path, journal=journal, route=route, carrier=carrier_of(route))


@pytest.fixture
def tiles(tmp_path: Path, journal: Journal) -> Line:
    (tmp_path / "university").mkdir()
    route = _outside(tmp_path / "university")
    return Line(folder=tmp_path, journal=journal, route=route, carrier=carrier_of(route))


def _report(folder: Path) -> tuple[Image, Path]:
    image = Image(sop_class=SR)
    return image, write(image, folder / "made")


def _shard(folder: Path, content: bytes = b"tiles", name: str = "shard.tar") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_signed_report_reaches_the_peer_byte_by_byte(dimse: Line, tmp_path: Path) -> None:
    image, path = _report(tmp_path)
    dimse.hand_over(path, kind="report", file_kind="SR")
    assert dimse.deliverer().step()
    received = tmp_path / "pacs" / f"{image.uid}.dcm"
    assert (
        received.read_bytes()[data_set_offset(received) :]
        == path.read_bytes()[data_set_offset(path) :]
    )
    assert dimse.status().state is State.DONE
    assert not dimse.deliverer().step()


def test_a_second_delivery_leaves_one_object_at_the_peer(dimse: Line, tmp_path: Path) -> None:
    _, path = _report(tmp_path)
    dimse.hand_over(path, kind="report", file_kind="SR")
    dimse.deliverer().step()
    dimse.hand_over(path, kind="report", file_kind="SR")
    dimse.deliverer().step()
    assert len(list((tmp_path / "pacs").glob("*.dcm"))) == 1


def test_storescp_of_dcmtk_takes_a_report(
    tmp_path: Path, journal: Journal, require_tool: Callable[[str], str]
) -> None:
    received = tmp_path / "dcmtk"
    received.mkdir()
    port = free_port()
    command = [require_tool("storescp"), "+xa", "-aet", "PACS", "-od", str(received), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as scp:
        try:
            route = _inside(port)
            line = Line(folder=tmp_path, journal=journal, route=route, carrier=carrier_of(route))
            _, path = _report(tmp_path)
            line.hand_over(path, kind="report", file_kind="SR")
            wait_until(lambda: _listens(port))
            line.deliverer().step()
            assert line.status().error is None
            assert line.status().state is State.DONE
            assert len(list(received.iterdir())) == 1
        finally:
            scp.kill()


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("file", ["manifest.sig", "manifest.json"])
def test_an_unsigned_parcel_is_never_sent(tiles: Line, tmp_path: Path, file: str) -> None:
    folder = tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles")
    (folder / file).unlink()
    tiles.deliverer().step()
    assert tiles.status().state is State.ASIDE
    assert list((tmp_path / "university").iterdir()) == []


def test_an_altered_file_is_never_sent(tiles: Line, tmp_path: Path) -> None:
    folder = tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles")
    (folder / "shard.tar").write_bytes(b"a whole slide")
    tiles.deliverer().step()
    assert "not the one that was signed" in (tiles.status().error or "")
    assert list((tmp_path / "university").iterdir()) == []


def test_a_file_that_was_put_in_is_never_sent(tiles: Line, tmp_path: Path) -> None:
    folder = tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles")
    (folder / "label.dcm").write_bytes(b"a label")
    tiles.deliverer().step()
    assert tiles.status().state is State.ASIDE
    assert list((tmp_path / "university").iterdir()) == []


def test_a_parcel_of_another_route_is_never_sent(tiles: Line, tmp_path: Path) -> None:
    tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles", route="elsewhere")
    tiles.deliverer().step()
    assert "another route" in (tiles.status().error or "")
    assert list((tmp_path / "university").iterdir()) == []


def test_a_parcel_under_another_id_is_never_sent(tiles: Line, tmp_path: Path) -> None:
    tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles", parcel_id="older")
    tiles.deliverer().step()
    assert "another parcel" in (tiles.status().error or "")


def test_a_parcel_does_not_leave_before_its_day_whatever_the_journal_says(
    tiles: Line, tmp_path: Path
) -> None:
    tomorrow = time.time() + 86_400.0
    tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles", not_before=tomorrow)
    today = replace(tiles.deliverer(), wait_s=lambda _: 0.0)
    today.step()
    assert tiles.status().state is State.WAITING
    assert "limit of this route" in (tiles.status().error or "")
    assert list((tmp_path / "university").iterdir()) == []
    replace(today, clock=lambda: tomorrow).step()
    assert tiles.status().state is State.DONE
    assert len(list((tmp_path / "university").iterdir())) == 1


def test_the_journal_cannot_point_out_of_the_outbox(tiles: Line, tmp_path: Path) -> None:
    tiles.outbox.mkdir(parents=True)
    tiles.announce("p", "tiles", "../../original/slide@token")
    tiles.deliverer().step()
    assert "outside the outbox" in (tiles.status().error or "")


def test_tiles_are_written_once_and_identical_ones_count_as_delivered(
    tiles: Line, tmp_path: Path
) -> None:
    for _ in range(2):
        tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles")
        tiles.deliverer().step()
    assert {one.state for one in tiles.journal.board.shards()} == {State.DONE}
    (written,) = (tmp_path / "university").iterdir()
    assert written.read_bytes() == b"tiles"


def test_a_different_file_under_the_name_is_not_overwritten(tiles: Line, tmp_path: Path) -> None:
    there = _shard(tmp_path / "university", b"something else")
    tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles")
    tiles.deliverer().step()
    assert tiles.status().state is State.ASIDE
    assert there.read_bytes() == b"something else"


def test_a_missing_folder_is_waited_for(tiles: Line, tmp_path: Path) -> None:
    (tmp_path / "university").rmdir()
    tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles")
    tiles.deliverer().step()
    assert tiles.status().state is State.WAITING
    assert "cannot be written now" in (tiles.status().error or "")


def test_an_absent_peer_is_waited_for(tmp_path: Path, journal: Journal) -> None:
    route = _inside(free_port())
    line = Line(folder=tmp_path, journal=journal, route=route, carrier=carrier_of(route))
    line.hand_over(_report(tmp_path)[1], kind="report", file_kind="SR")
    line.deliverer().step()
    assert line.status().state is State.WAITING
    assert not line.deliverer().step(), "it waits before it tries again"


def test_a_peer_that_does_not_know_us_sets_the_parcel_aside(dimse: Line, tmp_path: Path) -> None:
    endpoint = Endpoint(
        host="127.0.0.1",
        port=dimse.route.peer.port if dimse.route.peer else 0,
        called_ae_title="ARCHIVE",
        calling_ae_title="COVERSLIP",
    )
    carrier = DicomRoute(name="PACS", send=lambda files: send(files, endpoint))
    line = replace(dimse, carrier=carrier)
    line.hand_over(_report(tmp_path)[1], kind="report", file_kind="SR")
    line.deliverer().step()
    assert line.status().state is State.ASIDE
    assert "AE title" in (line.status().error or "")


@dataclass(frozen=True, kw_only=True)
class Dying:
    """A carrier that is killed over every parcel."""

    def deliver(self, parcel: object, *, again: bool) -> Delivery:
        raise MemoryError


def test_a_parcel_that_kills_its_deliverer_is_set_aside_in_the_end(
    tiles: Line, tmp_path: Path
) -> None:
    clock = [time.time()]
    journal = Journal(tiles.journal._engine, lambda: clock[0])
    line = replace(tiles, journal=journal, carrier=Dying())
    line.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles")
    for _ in range(3):
        with pytest.raises(MemoryError):
            line.deliverer().step()
        clock[0] += 1000
    line.deliverer().step()
    assert line.status().error == "Delivery stopped 3 times over this parcel."


def test_a_product_name_that_is_a_link_is_refused(tmp_path: Path, tiles: Line) -> None:
    (tmp_path / "university" / "shard.tar").symlink_to(tmp_path / "elsewhere")
    tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles")
    tiles.deliverer().step()
    assert tiles.status().state is State.ASIDE
    assert not (tmp_path / "elsewhere").exists()


def test_a_route_without_a_way_is_a_settings_error(tmp_path: Path) -> None:
    route = _outside(tmp_path).model_copy(update={"folder": None})
    with pytest.raises(ConfigError):
        carrier_of(route)


def test_statuses_are_sorted_by_what_happens_next() -> None:
    check_answer(0x0000)
    check_answer(0xB000)
    for later in (None, 0xA700, 0xA702, 0x0213):
        with pytest.raises(PeerUnavailable) as raised:
            check_answer(later)
        assert not isinstance(raised.value, PeerFailed)
    with pytest.raises(PeerFailed):
        check_answer(0x0110)
    for never in (0xA900, 0xC000, 0x0122, 0x0111, 0x0124):
        with pytest.raises(DeliveryRefused):
            check_answer(never)


def test_a_folder_route_leaves_no_partial_file(tmp_path: Path, tiles: Line) -> None:
    tiles.hand_over(_shard(tmp_path, b"x" * 3_000_000), kind="tiles", file_kind="tiles")
    tiles.deliverer().step()
    assert [one.name for one in (tmp_path / "university").iterdir()] == ["shard.tar"]
    assert isinstance(tiles.carrier, FolderRoute)
