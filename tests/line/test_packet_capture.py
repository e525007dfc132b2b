"""What crosses the wire when a slide of a canary patient walks the whole line, packet by packet.

The appliance and all its peers run in a network namespace of their own, in which every address of
the world leads to a loopback that is captured: so nothing that they say to anybody is missed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tritonclient.grpc import service_pb2

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from tests.conftest import REQUIRE_ALL
from tests.line.appliance_site import data_set
from tests.line.captured import (
    ANY_ID,
    ASK_HEADERS,
    CALL_TEXTS,
    PUT_HEADERS,
    STORE_HEADERS,
    Walked,
    date_offset_days,
    fits,
    is_registered,
    made_by_the_test,
    needles,
    parts_of,
    pixels_of,
    tiles_of,
)
from tests.line.captured_walk import CANARY
from tests.line.wire_grpc import read_calls
from tests.line.wire_http import read_requests

messages: Any = service_pb2
"""Generated, and without types."""

OUTSIDE = ("registry", "research-tiles", "bucket", "dicom-tiles", "company", "rack")
"""Routes to anybody else than the PACS, that cross the network."""
BARE = ("PATH", "HOME", "TMPDIR", "LANG")
"""Environment of the walk, as bare as under systemd: a library that reports to its maker does not
do so where a variable tells it that it is being tested."""
BY_DIMSE = {"pacs": "PACS", "registry": "REGISTRY", "dicom-tiles": "STUDY"}
"""Routes to DICOM peers, and their AE titles."""


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], str]) -> Walked:
    folder = tmp_path_factory.mktemp("capture")
    own_namespace = [require_tool("unshare"), "-rn"]
    if subprocess.run([*own_namespace, "true"], check=False, capture_output=True).returncode:
        assert not REQUIRE_ALL, "this machine gives no network namespace to capture in"
        pytest.skip("this machine gives no network namespace to capture in")
    program = [sys.executable, "-m", "tests.line.captured_walk", str(folder)]
    done = subprocess.run(
        [*own_namespace, *program, require_tool("Orthanc")],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={name: os.environ[name] for name in BARE if name in os.environ},
    )
    assert done.returncode == 0, done.stderr
    return Walked(folder)


def test_the_capture_is_whole(walked: Walked) -> None:
    assert walked.facts["n_dropped"] == 0
    for stream in walked.talk.streams:
        assert stream.content is not None
    assert all(walked.said_to(route) for route in walked.ports)


def test_nobody_asks_for_anybody_but_the_peers_that_the_settings_name(walked: Walked) -> None:
    named = {("127.0.0.1", port) for port in (*walked.ports.values(), walked.facts["node_port"])}
    assert walked.talk.asked == named
    assert walked.talk.others == (), "a name server was asked, or something else that is no TCP"


def test_the_search_finds_the_canary_on_the_way_to_the_pacs(walked: Walked) -> None:
    """The control: a search that could not find it would show nothing about the others."""
    inside = b"".join(walked.said_to("pacs"))
    found = {needle for needle in needles(walked) if needle in inside}
    assert CANARY.encode() in found
    assert str(walked.scanned[0].StudyInstanceUID).encode() in found
    assert str(walked.scanned[0].StudyDate).encode() in found


@pytest.mark.parametrize("route", OUTSIDE)
def test_the_canary_patient_is_nowhere_on_the_way_to(walked: Walked, route: str) -> None:
    sought = needles(walked)
    assert len(sought) > 150
    for stream in walked.talk.of(walked.ports[route]):
        found = {needle for needle in sought if needle in stream.content}
        assert not found


@pytest.mark.parametrize("route", BY_DIMSE)
def test_nothing_but_signed_objects_crosses_an_association(walked: Walked, route: str) -> None:
    files = walked.signed(route)
    signed = {data_set(path): pydicom.dcmread(path) for path in files}
    sent = [message for one in walked.associations(route) for message in one.messages]
    assert sorted(message.data_set for message in sent) == sorted(map(data_set, files))
    for message in sent:
        dataset = signed[message.data_set]
        assert message.transfer_syntax == dataset.file_meta.TransferSyntaxUID
        assert {element.keyword: element.value for element in message.command} == {
            "CommandGroupLength": message.command.CommandGroupLength,
            "AffectedSOPClassUID": dataset.SOPClassUID,
            "CommandField": 0x0001,
            "MessageID": message.command.MessageID,
            "Priority": message.command.Priority,
            "CommandDataSetType": message.command.CommandDataSetType,
            "AffectedSOPInstanceUID": dataset.SOPInstanceUID,
        }


@pytest.mark.parametrize("route", BY_DIMSE)
def test_an_association_names_nobody_but_the_appliance(walked: Walked, route: str) -> None:
    for one in walked.associations(route):
        assert one.titles == (BY_DIMSE[route], "COVERSLIP")
        for abstract, transfers in one.contexts.values():
            assert all(map(is_registered, (abstract, *transfers)))
        free = [value for kind, value in one.items if kind not in (0x10, 0x51)]
        assert sorted(free) == sorted(
            [IMPLEMENTATION_CLASS_UID.encode(), IMPLEMENTATION_VERSION_NAME.encode()]
        )


def test_nothing_but_signed_shards_crosses_to_the_bucket(walked: Walked) -> None:
    shards = {path.name: path.read_bytes() for path in walked.signed("bucket")}
    asked = [one for said in walked.said_to("bucket") for one in read_requests(said)]
    ours = [one for one in asked if not made_by_the_test(one)]
    assert {one.target.rpartition("/")[2]: one.body for one in ours} == shards
    assert len(ours) == len(shards)
    for one in ours:
        assert (one.method, one.target.rpartition("/")[0]) == ("PUT", "/tiles/from-a-hospital")
        assert fits(one.headers, PUT_HEADERS), one.headers


def test_nothing_but_signed_tiles_crosses_to_a_dicomweb_service(walked: Walked) -> None:
    asked = [one for said in walked.said_to("research-tiles") for one in read_requests(said)]
    sent = []
    for one in asked:
        if not made_by_the_test(one):
            assert (one.method, one.target) == ("POST", "/dicom-web/studies")
            assert fits(one.headers, STORE_HEADERS), one.headers
            sent += parts_of(one.body, one.headers["content-type"].rpartition("=")[2])
    assert sorted(sent) == sorted(path.read_bytes() for path in walked.signed("research-tiles"))


def test_nothing_but_pixels_of_signed_tiles_crosses_to_a_model_server_by_http(
    walked: Walked,
) -> None:
    asked = [one for said in walked.said_to("company") for one in read_requests(said)]
    sent = Counter[bytes]()
    for one in asked:
        assert fits(one.headers, ASK_HEADERS), one.headers
        if one.method == "GET":
            assert (one.target, one.body) == ("/v2/models/metastasis", b"")
            continue
        assert one.target == "/v2/models/metastasis/infer"
        length = int(one.headers["inference-header-content-length"])
        head, tiles = json.loads(one.body[:length]), tiles_of(one.body[length:])
        assert re.fullmatch(ANY_ID, head.pop("id"))
        tensor = {"name": "image", "datatype": "UINT8", "shape": [len(tiles), 96, 96, 3]}
        n_bytes = len(one.body) - length
        assert head == {
            "inputs": [tensor | {"parameters": {"binary_data_size": n_bytes}}],
            "outputs": [{"name": "probability", "parameters": {"binary_data": True}}],
        }
        sent.update(tiles)
    assert sent == pixels_of(walked, "company")


def test_nothing_but_pixels_of_signed_tiles_crosses_to_a_model_server_by_grpc(
    walked: Walked,
) -> None:
    sent = Counter[bytes]()
    for said in walked.said_to("rack"):
        calls, farewells = read_calls(said)
        assert set(farewells) <= {b"", b"client_channel_shutdown", b"shutdown"}, farewells
        assert all(re.fullmatch(CALL_TEXTS, text) for call in calls for text in call.texts)
        about, *asked = (message for call in calls for message in call.messages)
        assert about == messages.ModelMetadataRequest(name="metastasis").SerializeToString()
        for message in asked:
            request = messages.ModelInferRequest.FromString(message)
            assert request.ByteSize() == len(message)
            (tensor,) = request.raw_input_contents
            tiles = tiles_of(tensor)
            expected = messages.ModelInferRequest(
                model_name="metastasis", id=request.id, raw_input_contents=[tensor]
            )
            expected.inputs.add(name="image", datatype="UINT8", shape=[len(tiles), 96, 96, 3])
            expected.outputs.add(name="probability")
            assert re.fullmatch(ANY_ID, request.id)
            assert expected.SerializeToString() == message
            sent.update(tiles)
    assert sent == pixels_of(walked, "rack")


def test_what_orthanc_received_for_the_registry_tells_nothing(walked: Walked) -> None:
    for path in (walked.folder / "arrived").glob("*.dcm"):
        content = path.read_bytes()
        assert not {needle for needle in needles(walked) if needle in content}
    path = walked.report_at_registry()
    assert {data_set(path)} == {data_set(signed) for signed in walked.signed("registry")}


def test_no_date_and_no_number_at_the_registry_gives_the_offset_of_dates_away(
    walked: Walked,
) -> None:
    offset = date_offset_days(walked)
    assert offset != 0
    report = pydicom.dcmread(walked.report_at_registry())
    whens = [element for element in report.iterall() if element.VR in ("DA", "DT", "TM")]
    assert {str(element.value) for element in whens if element.value} == {"19000101", "000000"}
    numbers = {
        abs(float(element.value))
        for element in report.iterall()
        if element.VR in ("IS", "DS", "US", "UL", "SS", "SL", "FL", "FD")
    }
    assert not numbers & {abs(offset), abs(offset) / 7}
    assert all(float(f"{number:.3g}") == number for number in numbers), "an area is a fingerprint"


def test_the_wrong_byte_would_be_seen(walked: Walked, tmp_path: Path) -> None:
    """Control of the byte-by-byte check: it fails for an object that differs in one bit."""
    copy = Walked(walked.folder)
    copy.root = tmp_path / "appliance"
    shutil.copytree(walked.root / "outbox", copy.root / "outbox")
    signed = copy.signed("registry")[0]
    content = bytearray(signed.read_bytes())
    content[-1] ^= 1
    signed.chmod(0o600)
    signed.write_bytes(content)
    with pytest.raises(AssertionError):
        test_nothing_but_signed_objects_crosses_an_association(copy, "registry")
