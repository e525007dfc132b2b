"""The conformance statement says what the code does."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    MicroscopyBulkSimpleAnnotationsStorage,
    ParametricMapStorage,
    SegmentationStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

import appliance
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.release.stage import CLASSES
from anonymizer.tiles.dicom import tile_image
from appliance.errors import DeliveryRefused, InvalidInstance, PeerUnavailable, StorageFull
from appliance.settings import Node, Scanner
from dicom_node import contexts, status
from dicom_node.commitment import decision, request
from dicom_node.receive import admission, reactor, scp, server, storing
from dicom_node.send import association
from tests.anonymizer.test_tiles_dicom import tile

STATEMENT = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
NEWER = {LABEL_MAP: "Label Map Segmentation Storage"}
"""Registered since the dictionary of pydicom was made."""
Rows = list[tuple[str, ...]]


def table(heading: str, *, first: str) -> Rows:
    """Rows of the table with this first column, below a heading."""
    text = STATEMENT[STATEMENT.index(f"# {heading}\n") :]
    lines = iter(text[text.index(f"\n| {first} |") :].strip().splitlines()[2:])
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return rows


def numbers(rows: Rows) -> list[int]:
    """The hexadecimal numbers of first cells."""
    return [int(one, 16) for row in rows for one in re.findall(r"0x[0-9A-F]{4}", row[0])]


def services(role: int) -> set[str]:
    rows = table("Network services", first="SOP class")
    return {row[1] for row in rows if not row[role].startswith("no")}


def test_every_sop_class_has_its_own_uid() -> None:
    rows = table("Network services", first="SOP class")
    for name, uid, *_ in rows:
        known = (
            NEWER.get(uid, UID(uid).name)
            .replace(" Information Model", "")
            .replace(" SOP Class", "")
        )
        assert name == known.replace("Confocal Microscopy Storage", "")


def test_what_is_provided_is_what_is_negotiated() -> None:
    assert services(3) == {str(one.abstract_syntax) for one in contexts.scanner_contexts()}


def test_what_is_used_is_what_we_send_and_ask_for() -> None:
    made = {uid for classes in CLASSES.values() for uid in classes}
    assert made == {
        Comprehensive3DSRStorage,
        EncapsulatedPDFStorage,
        EnhancedSRStorage,
        LABEL_MAP,
        MicroscopyBulkSimpleAnnotationsStorage,
        ParametricMapStorage,
        SegmentationStorage,
    }
    asked = {
        Verification,
        StorageCommitmentPushModel,
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelMove,
        StudyRootQueryRetrieveInformationModelGet,
    }
    assert services(2) == {str(one) for one in made | asked} | set(contexts.PATHOLOGY_SOP_CLASSES)


def test_tiles_are_of_the_class_it_says_and_have_the_attributes_it_names() -> None:
    image = tile_image("0" * 32, tile(), Pseudonyms(bytes(32)).for_recipient("university"))
    rows = table("Network services", first="SOP class")
    assert [row[1] for row in rows if "routes of tiles" in row[2]] == [image.SOPClassUID]
    said = " ".join(
        f"{names} {values}" for names, values in table("8.1.1 Tiles", first="attributes")
    )
    module = "SamplesPerPixel PlanarConfiguration PhotometricInterpretation Rows Columns PixelData"
    module += " BitsAllocated BitsStored HighBit PixelRepresentation"
    elsewhere = {*module.split(), "SOPClassUID", "LossyImageCompressionRatio"}
    elsewhere |= {"LossyImageCompressionMethod"}
    for element in image:
        assert element.keyword in elsewhere or element.name in said, element.name


def test_the_transfer_syntaxes_are_ours_in_our_order() -> None:
    rows = table("SOP classes accepted", first="transfer syntax")
    assert [row[1] for row in rows] == [str(one) for one in contexts.TRANSFER_SYNTAXES]
    for name, uid in rows:
        assert UID(uid).name.startswith(name.partition(" (")[0].partition(",")[0])


def test_verification_and_commitment_take_both_plain_encodings() -> None:
    plain = {ExplicitVRLittleEndian, ImplicitVRLittleEndian}
    for context in contexts.scanner_contexts():
        if context.abstract_syntax not in contexts.PATHOLOGY_SOP_CLASSES:
            assert plain <= set(context.transfer_syntax)


def test_the_association_policies_are_the_defaults() -> None:
    said = dict(table("Association policies", first="policy"))
    scanner = {name: one.default for name, one in Scanner.model_fields.items()}
    expected: dict[str, str] = {
        "implementation class UID": appliance.IMPLEMENTATION_CLASS_UID,
        "maximum length received": f"{reactor.MAXIMUM_PDU_BYTES} bytes",
        "associations at the same time": (
            f"{Node().maximum_associations} (`node.maximum_associations`)"
        ),
        "of one scanner": f"{scanner['maximum_associations']} (`scanners.maximum_associations`)",
        "new ones of one scanner in a minute": (
            f"{scanner['associations_per_minute']} (`scanners.associations_per_minute`)"
        ),
        "length of an association": (
            f"{scanner['maximum_association_s']:.0f} s (`scanners.maximum_association_s`)"
        ),
        "connections from one address": (
            f"{Node().connections_per_address} (`node.connections_per_address`)"
        ),
        "association request must come within": f"{server.NEGOTIATION_LIMIT_S:.0f} s",
        "a PDU that began must be whole within": f"{reactor.PDU_LIMIT_S:.0f} s",
        "silence on an association": f"{scp.NETWORK_TIMEOUT_S:.0f} s",
    }
    assert expected.items() <= said.items()


def test_requests_are_rejected_as_it_says() -> None:
    said = {
        tuple(int(cell.split()[0]) for cell in row[:3])
        for row in table("Association acceptance", first="result")
    }
    ours = {
        (one.result, one.source, one.diagnostic)
        for one in vars(admission).values()
        if isinstance(one, admission.Refusal)
    }
    assert said == ours


def test_stored_objects_are_answered_as_it_says() -> None:
    said = numbers(table("C-STORE status", first="status"))
    ours = [
        status.SUCCESS,
        status.store_status(StorageFull("Full.")),
        status.store_status(status.MismatchedInstance("Another.")),
        status.store_status(InvalidInstance("Cut off.")),
        storing.INVALID_INSTANCE,
        storing.NO_SUCH_CLASS,
    ]
    assert said == ours


def test_commitment_requests_are_answered_as_it_says() -> None:
    said = set(numbers(table("Storage commitment (SCP)", first="status of N-ACTION")))
    ours = {
        request.SUCCESS,
        request.NO_SUCH_SOP_INSTANCE,
        request.INVALID_ARGUMENT,
        request.NO_SUCH_SOP_CLASS,
        request.NO_SUCH_ACTION,
        request.NOT_AUTHORIZED,
        request.RESOURCE_LIMITATION,
    }
    assert said == ours


def test_commitment_fails_for_the_reasons_it_says() -> None:
    said = set(numbers(table("Storage commitment (SCP)", first="failure reason")))
    ours = {
        decision.PROCESSING_FAILURE,
        decision.NO_SUCH_OBJECT,
        decision.CLASS_CONFLICT,
        decision.CLASS_NOT_SUPPORTED,
        decision.RESOURCE_LIMITATION,
    }
    assert said == ours


def outcome(code: int) -> type[Exception] | None:
    try:
        status.check_answer(code)
    except (DeliveryRefused, PeerUnavailable) as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("stored", (None,)),
        ("later", (PeerUnavailable,)),
        ("later, some times", (status.PeerFailed,)),
        ("checked", (status.AlreadyThere,)),
    ],
)
def test_a_peers_answer_is_taken_as_it_says(
    words: str, expected: Sequence[type[Exception] | None]
) -> None:
    rows = table("4.2.2 DELIVER", first="answer of the peer")
    stores = [row for row in rows if row[0].startswith("C-STORE 0x") and row[1].startswith(words)]
    if words == "later":
        stores = [row for row in stores if row[1] == "later"]
    codes = numbers([(row[0].replace("A7xx", "A7FE"), "") for row in stores])
    assert codes
    assert {outcome(code) for code in codes} == set(expected)


def test_any_other_answer_is_a_persons() -> None:
    rows = table("4.2.2 DELIVER", first="answer of the peer")
    named = set(numbers(rows)) | set(range(0xA700, 0xA800))
    taken = {code for code in range(0x10000) if outcome(code) is not DeliveryRefused}
    assert taken == named


def test_the_limits_of_sending_are_the_ones_it_says() -> None:
    assert f"An answer is waited for {association.ANSWER_TIMEOUT_S:.0f} s" in STATEMENT
    assert f"a connection {association.CONNECT_TIMEOUT_S:.0f} s" in STATEMENT
