"""A drained node: no new slides, while questions are answered and what is under way ends well."""

from pathlib import Path

import pytest
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance.errors import PeerUnavailable
from dicom_node.contexts import STORAGE_COMMITMENT
from dicom_node.receive.admission import DRAINED, AllowedPeer, Refusal, Request, Rules, admit
from dicom_node.send.association import associated, echo
from dicom_node.send.sender import outgoing, send
from tests.dicom_node.conftest import Hospital
from tests.dicom_node.objects import Image, write
from tests.dicom_node.web_scanner import serving

VL_WSI = "1.2.840.10008.5.1.4.1.1.77.1.6"
JPEG = "1.2.840.10008.1.2.4.50"
RULES = Rules(ae_title="COVERSLIP", peers=None, maximum_associations=4)


def ask(*abstract_syntaxes: str) -> AllowedPeer | Refusal:
    request = Request(
        calling_ae_title="SCANNER",
        called_ae_title="COVERSLIP",
        address="127.0.0.1",
        abstract_syntaxes=abstract_syntaxes,
        n_open=0,
    )
    return admit(request, RULES, has_room=True, is_drained=True)


def drain(hospital: Hospital) -> None:
    hospital.journal.pause("node", operator="anna", reason="update", words="It drains.")


def is_refused(hospital: Hospital) -> bool:
    try:
        with associated(hospital.endpoint, [build_context(VL_WSI, JPEG)]):
            return False
    except PeerUnavailable:
        return True


def test_only_who_proposes_storage_is_refused_and_for_now() -> None:
    assert ask(VL_WSI, str(Verification)) is DRAINED
    assert isinstance(ask(str(Verification)), AllowedPeer)
    assert isinstance(ask(STORAGE_COMMITMENT), AllowedPeer)
    assert DRAINED.result == 2


def test_a_drained_node_tells_scanners_to_wait_and_takes_them_again(
    hospital: Hospital, tmp_path: Path
) -> None:
    drain(hospital)
    file = outgoing(write(Image(), tmp_path))
    with pytest.raises(PeerUnavailable, match="it is busy"):
        send([file], hospital.endpoint)
    echo(hospital.endpoint)
    assert any("as an operator asked" in text for text in hospital.texts())
    hospital.journal.go_on("node", operator="anna", words="It takes slides again.")
    send([file], hospital.endpoint)
    assert len(hospital.stored_files()) == 1


def test_an_association_that_was_open_before_ends_as_it_would(
    hospital: Hospital, tmp_path: Path
) -> None:
    path = write(Image(), tmp_path)
    with associated(hospital.endpoint, [build_context(VL_WSI, JPEG)]) as association:
        drain(hospital)
        assert is_refused(hospital)
        assert association.send_c_store(path).Status == 0
    assert len(hospital.stored_files()) == 1


def test_dicomweb_is_told_to_come_back(hospital: Hospital, tmp_path: Path) -> None:
    drain(hospital)
    with serving(hospital, tmp_path) as scanner:
        answer = scanner.store(write(Image(), tmp_path))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert hospital.stored_files() == []
