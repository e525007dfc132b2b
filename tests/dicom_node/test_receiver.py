"""The receiver: what its statuses promise, over real sockets, against DCMTK and ourselves."""

import hashlib
import json
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification

from appliance.errors import DeliveryRefused, PeerUnavailable
from dicom_node.contexts import PATHOLOGY_SOP_CLASSES, VL_WHOLE_SLIDE_MICROSCOPY
from dicom_node.send.sender import Endpoint, echo, outgoing, send
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import CT_IMAGE, Image, data_set_offset, dataset_of, write
from tests.dicom_node.raw import RawScanner


def _send(hospital: Hospital, folder: Path, *images: Image) -> None:
    send([outgoing(write(one, folder)) for one in images], hospital.endpoint)


def test_an_object_answered_with_success_is_there_whole_and_receipted(
    hospital: Hospital, tmp_path: Path
) -> None:
    image = Image()
    path = write(image, tmp_path / "scanner")
    send([outgoing(path)], hospital.endpoint)
    (stored,) = hospital.stored_files()
    dataset = dataset_of(image)
    sent = path.read_bytes()[data_set_offset(path) :]
    assert stored.read_bytes()[data_set_offset(stored) :] == sent
    assert stored.stem == hashlib.sha256(sent).hexdigest()
    (receipt,) = hospital.node.receipts.of_study(image.study)
    assert receipt.receipt.sop_instance_uid == dataset.SOPInstanceUID
    assert receipt.receipt.sha256 == stored.stem
    assert hospital.partial_files() == []
    assert stored.stat().st_mode & 0o077 == 0


def test_storescu_and_echoscu_of_dcmtk_are_served(
    hospital: Hospital, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    path = write(Image(), tmp_path / "scanner")
    titles = ["-aet", "SCANNER", "-aec", "COVERSLIP", "127.0.0.1", str(hospital.port)]
    subprocess.run([require_tool("echoscu"), *titles], check=True, timeout=20)
    storescu = [require_tool("storescu"), "-R", "-xy", "--max-pdu", "131072"]
    subprocess.run([*storescu, *titles, str(path)], check=True, timeout=20)
    assert len(hospital.stored_files()) == 1


@pytest.mark.parametrize(
    "syntax", ["cmu_jpeg_native_bot", "cmu_half_j2k_lossless", "cmu_half_jpegls_lossless",
               "cmu_half_rle", "cmu_htj2k_lossy", "cmu_jpeg_concatenated3"],
)  # fmt: skip
def test_real_slides_of_every_encoding_are_kept_byte_by_byte(
    hospital: Hospital, shared_data: Path, syntax: str
) -> None:
    paths = sorted((shared_data / "dicom_converted" / syntax).glob("*.dcm"))
    send([outgoing(path) for path in paths], hospital.endpoint)
    assert len(hospital.stored_files()) == len(paths)
    assert len(hospital.slides()) == 0
    hospital.settle()
    hospital.work()
    assert hospital.slide().stage == "deidentify"


def test_the_same_object_again_is_success_and_no_work(hospital: Hospital, tmp_path: Path) -> None:
    image = Image()
    _send(hospital, tmp_path / "a", image)
    hospital.settle()
    hospital.work()
    _send(hospital, tmp_path / "a", image)
    hospital.settle()
    assert len(hospital.stored_files()) == 1
    assert hospital.slide().revision == 1


def test_a_conflicting_object_is_kept_and_sets_the_slide_aside(
    hospital: Hospital, tmp_path: Path
) -> None:
    image = Image()
    _send(hospital, tmp_path / "a", image)
    _send(hospital, tmp_path / "b", replace(image, marker=7))
    assert len(hospital.stored_files()) == 2
    hospital.settle()
    hospital.work()
    assert hospital.slide().state == "aside"
    assert hospital.slide().error_code == "conflicting-instance"


def test_a_ct_is_refused_at_negotiation(hospital: Hospital, tmp_path: Path) -> None:
    with pytest.raises(DeliveryRefused, match="does not take objects of this kind"):
        _send(hospital, tmp_path, Image(sop_class=CT_IMAGE))
    assert hospital.stored_files() == []


def test_a_ct_that_hides_under_a_pathology_command_is_refused(
    hospital: Hospital, tmp_path: Path
) -> None:
    path = disguised(write(Image(sop_class=CT_IMAGE), tmp_path), write(Image(), tmp_path))
    assert _status(hospital, path) == 0xA900
    assert hospital.stored_files() == hospital.partial_files() == []


def test_an_object_under_another_uid_than_announced_is_refused(
    hospital: Hospital, tmp_path: Path
) -> None:
    path = disguised(write(Image(), tmp_path), write(Image(), tmp_path))
    assert _status(hospital, path) == 0xA900
    assert hospital.stored_files() == []


def disguised(inside: Path, outside: Path) -> Path:
    """Give the data set of one file the file meta information of another."""
    head = outside.read_bytes()[: data_set_offset(outside)]
    inside.write_bytes(head + inside.read_bytes()[data_set_offset(inside) :])
    return inside


def _status(hospital: Hospital, path: Path) -> int:
    """Send a file as it is, and give the status that was answered."""
    file = outgoing(path)
    entity = AE(ae_title="SCANNER")
    contexts = [build_context(file.sop_class_uid, file.transfer_syntax_uid)]
    association = entity.associate(
        "127.0.0.1", hospital.port, contexts=contexts, ae_title="COVERSLIP"
    )
    assert association.is_established
    status = association.send_c_store(path).get("Status")
    association.release()
    return int(status)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("keep", [0.3, 0.97])
def test_a_truncated_object_is_refused_and_leaves_nothing(
    hospital: Hospital, tmp_path: Path, *, native: bool, keep: float
) -> None:
    path = write(Image(native=native), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert _status(hospital, path) == 0xC000
    assert hospital.stored_files() == hospital.partial_files() == []
    assert any("refused" in text for text in hospital.texts())


def test_garbage_for_a_data_set_is_refused_and_the_association_goes_on(
    hospital: Hospital, tmp_path: Path
) -> None:
    path = write(Image(), tmp_path)
    head = path.read_bytes()[: data_set_offset(path)]
    path.write_bytes(head + bytes(range(256)) * 40)
    assert _status(hospital, path) == 0xC000
    echo(hospital.endpoint)
    assert hospital.stored_files() == []


@pytest.mark.parametrize(
    ("calling", "called"),
    [("STRANGER", "COVERSLIP"), ("ELSEWHERE", "COVERSLIP"), ("SCANNER", "SOMEONE")],
)
def test_a_wrong_title_or_address_is_rejected(
    hospital: Hospital, calling: str, called: str
) -> None:
    other = replace(hospital.endpoint, calling_ae_title=calling, called_ae_title=called)
    with pytest.raises(DeliveryRefused, match="AE title"):
        echo(other)
    wait_until(lambda: any("was rejected" in text for text in hospital.texts()))


def test_below_the_soft_limit_storage_is_rejected_for_now_and_echo_answered(
    hospital: Hospital, tmp_path: Path
) -> None:
    hospital.disk.free = int(1.5 * (1 << 30))
    with pytest.raises(PeerUnavailable, match="rejected the association for now"):
        _send(hospital, tmp_path, Image())
    echo(hospital.endpoint)
    hospital.disk.free = 1 << 40
    _send(hospital, tmp_path, Image())
    assert len(hospital.stored_files()) == 1


def test_below_the_hard_limit_an_open_association_is_answered_out_of_resources(
    hospital: Hospital, tmp_path: Path
) -> None:
    file = outgoing(write(Image(), tmp_path))
    entity = AE(ae_title="SCANNER")
    contexts = [build_context(file.sop_class_uid, file.transfer_syntax_uid)]
    association = entity.associate(
        "127.0.0.1", hospital.port, contexts=contexts, ae_title="COVERSLIP"
    )
    hospital.disk.free = 1 << 20
    assert association.send_c_store(file.path).Status == 0xA700
    assert hospital.stored_files() == hospital.partial_files() == []
    hospital.disk.free = 1 << 40
    assert association.send_c_store(file.path).Status == 0x0000
    association.release()


def test_a_disk_that_fills_in_a_transfer_is_answered_and_room_is_made(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.receive.transfer.SYNC_EVERY_BYTES", 100_000)
    path = write(Image(frame_bytes=200_000), tmp_path)
    used: list[int] = []

    def filling(folder: Path) -> int:
        used.append(sum(one.stat().st_size for one in folder.rglob("*.part")))
        return (1 << 40) if max(used) < 1_000_000 else 0

    hospital.node.spool._free_bytes = filling
    assert _status(hospital, path) == 0xA700
    assert max(used) < 1_200_000
    assert hospital.stored_files() == hospital.partial_files() == []


def test_a_dropped_transfer_leaves_nothing(hospital: Hospital, tmp_path: Path) -> None:
    wire = RawScanner(hospital.port)
    wire.start_store(write(Image(frame_bytes=200_000), tmp_path), share=0.5)
    wait_until(lambda: len(hospital.partial_files()) == 1)
    wire.close()
    wait_until(lambda: hospital.partial_files() == [])
    assert hospital.stored_files() == []


def test_a_full_house_is_rejected_for_now(hospital: Hospital) -> None:
    entity = AE(ae_title="SCANNER")
    contexts = [build_context(Verification)]
    open_ones = [
        entity.associate("127.0.0.1", hospital.port, contexts=contexts, ae_title="COVERSLIP")
        for _ in range(4)
    ]
    assert all(one.is_established for one in open_ones)
    with pytest.raises(PeerUnavailable, match="limit is reached"):
        echo(hospital.endpoint)
    for one in open_ones:
        one.release()
    wait_until(lambda: not hospital.node.scp.open_associations())
    echo(hospital.endpoint)


def test_a_uid_that_walks_out_of_the_folder_is_never_written(
    hospital: Hospital, tmp_path: Path
) -> None:
    wire = RawScanner(hospital.port)
    wire.start_store(write(Image(), tmp_path), uid="../../../../EVIL", share=1.0)
    assert wire.status() == 0x0117
    wire.close()
    wait_until(lambda: not hospital.node.scp.open_associations())
    wait_until(lambda: hospital.partial_files() == [])
    assert hospital.stored_files() == []
    assert not any("EVIL" in one.name for one in hospital.folder.rglob("*"))


def test_a_pdu_longer_than_announced_ends_its_connection(hospital: Hospital) -> None:
    with socket.create_connection(("127.0.0.1", hospital.port), timeout=10) as wire:
        wire.sendall(b"\x01\x00\xff\xff\xff\xff" + bytes(1000))
        wire.settimeout(20)
        assert _ends(wire)
    echo(hospital.endpoint)


def _ends(wire: socket.socket) -> bool:
    try:
        while wire.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_neither_journal_nor_log_name_the_patient_or_a_uid(
    hospital: Hospital, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    image = Image(container="CANARY-CONTAINER")
    _send(hospital, tmp_path / "a", image)
    _send(hospital, tmp_path / "b", replace(image, marker=1))
    bad = write(replace(image, uid=generate_uid()), tmp_path)
    bad.write_bytes(bad.read_bytes()[:900])
    _status(hospital, bad)
    hospital.settle()
    hospital.work()
    journal = b"".join(path.read_bytes() for path in (hospital.folder / "root/journal").iterdir())
    for canary in ("Canary", "CANARY", image.uid, image.study, image.series):
        assert canary.encode() not in journal
        assert canary not in caplog.text


def test_what_a_scanner_may_store_is_pathology_only() -> None:
    assert VL_WHOLE_SLIDE_MICROSCOPY in PATHOLOGY_SOP_CLASSES
    assert json.dumps(PATHOLOGY_SOP_CLASSES).count("1.1.77.1") == len(PATHOLOGY_SOP_CLASSES)


def test_an_unreachable_peer_is_said_so() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nobody = Endpoint(host="127.0.0.1", port=port, called_ae_title="X", calling_ae_title="Y")
    with pytest.raises(PeerUnavailable):
        echo(nobody)
