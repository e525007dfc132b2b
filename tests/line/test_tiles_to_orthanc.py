"""Tiles as DICOM from release to a real Orthanc, by C-STORE and by STOW-RS, seen from there."""

import io
import json
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import VLMicroscopicImageStorage
from sqlalchemy import update

from anonymizer.release.belonging import inverse_of
from anonymizer.release.opened import open_identity
from anonymizer.tiles.plan import placements_from_bytes
from appliance.line import State
from appliance.manifest import open_verified
from appliance.settings import Route
from appliance.stores.journal_schema import parcels
from dicom_node.deliver.daemon import Deliverer, carrier_of
from tests.anonymizer.release_line import STATEMENT, Line
from tests.anonymizer.release_parts import CANARY, original_slide
from tests.dicom_node.objects import data_set_offset
from tests.dicom_node.real_peers import Orthanc, running_orthanc

WAYS = {"by-c-store": "dimse", "by-stow": "stow"}


def route_to(orthanc: Orthanc, name: str, colour: int) -> dict:
    kind = WAYS[name]
    way = {
        "dimse": {"peer": {"ae_title": "PACS", "host": "127.0.0.1", "port": orthanc.dicom_port}},
        "stow": {"web": {"url": orthanc.web}},
    }
    return {
        "name": name,
        "recipient": f"recipient-{colour}",
        "place": "outside",
        "kind": kind,
        "carries": ["tiles"],
        "policy": {
            "mechanism": "coloured_tiles",
            "statement": STATEMENT,
            "min_patients": 1,
            "tiles_per_shard": 4,
            "colour": colour,
        },
        **way[kind],
    }


class Sent:
    """A slide of which two recipients got their tiles, each in an Orthanc."""

    def __init__(self, line: Line, orthanc: Orthanc) -> None:
        self.line = line
        self.orthanc = orthanc

    def route(self, name: str) -> Route:
        return self.line.settings.route(name)

    def deliver(self, name: str) -> None:
        route = self.route(name)
        deliverer = Deliverer(
            journal=self.line.journal,
            route=route,
            outbox=self.line.root.outbox(name),
            open_parcel=partial(open_verified, route=route, public_key=self.line.public_key),
            carrier=carrier_of(route),
            clock=lambda: self.line.now,
        )
        while deliverer.step():
            pass

    def signed(self, name: str) -> dict[str, bytes]:
        """The files that release signed for a route, by SOP Instance UID."""
        paths = [path for folder in self.line.parcels(name) for path in folder.glob("*.dcm")]
        return {str(dcmread(path).SOPInstanceUID): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def sent(
    tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], str]
) -> Iterator[Sent]:
    folder = tmp_path_factory.mktemp("tiles")
    with running_orthanc(require_tool("Orthanc"), folder / "orthanc") as orthanc:
        routes = [route_to(orthanc, name, colour) for colour, name in enumerate(WAYS)]
        line = Line(folder / "line", routes)
        line.bring("slide-a")
        assert line.work()
        sent = Sent(line, orthanc)
        for name in WAYS:
            sent.deliver(name)
        yield sent
        line.close()


def data_set(content: bytes, folder: Path) -> bytes:
    path = folder / "one.dcm"
    path.write_bytes(content)
    return content[data_set_offset(path) :]


@pytest.mark.parametrize("name", WAYS)
def test_what_arrives_is_what_was_signed(sent: Sent, name: str, tmp_path: Path) -> None:
    signed, there = sent.signed(name), sent.orthanc.instances()
    assert len(signed) >= 4
    for uid, content in signed.items():
        assert data_set(there[uid], tmp_path) == data_set(content, tmp_path)
    assert {one.state for one in sent.line.journal.board.shards()} == {State.DONE}


def test_every_tile_is_a_patient_a_study_and_a_series_of_its_own(sent: Sent) -> None:
    n_tiles = sum(len(sent.signed(name)) for name in WAYS)
    for level in ("patients", "studies", "series", "instances"):
        assert len(sent.orthanc.get(f"/{level}")) == n_tiles, level


def test_orthanc_shows_the_pixels_that_were_cut(sent: Sent) -> None:
    found = sent.orthanc.get("/instances")[0]
    tags = sent.orthanc.get(f"/instances/{found}/simplified-tags")
    assert tags["SOPClassUID"] == VLMicroscopicImageStorage
    base = f"{sent.orthanc.base}/instances/{found}"
    with urllib.request.urlopen(f"{base}/preview", timeout=20) as answer:
        shown = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"), dtype=int)
    image = dcmread(io.BytesIO(sent.orthanc.instances()[tags["SOPInstanceUID"]]))
    (frame,) = generate_frames(image.PixelData, number_of_frames=1)
    cut = np.asarray(Image.open(io.BytesIO(frame)), dtype=int)
    assert np.abs(shown - cut).max() <= 2


def test_nothing_that_arrives_names_the_patient_the_slide_or_the_place_of_a_tile(
    sent: Sent,
) -> None:
    original = original_slide()
    uids = {str(one.value) for one in original.iterall() if one.VR == "UI"}
    hidden = [uid.encode() for uid in uids if uid.startswith("1.2.826")]
    hidden += [CANARY.encode(), b"slide-a", b"Scanner Works", b"20240506"]
    hidden.append(container_of(sent).encode())
    for content in sent.orthanc.instances().values():
        assert not [one for one in hidden if one in content]
    tags = {tag for one in sent.orthanc.get("/instances") for tag in tags_of(sent, one)}
    assert not {"FrameOfReferenceUID", "ContainerIdentifier", "DeviceSerialNumber"} & tags


def container_of(sent: Sent) -> str:
    line = sent.line
    identity = open_identity(line.vault.identity("slide-a"), slide_id="slide-a", keys=line.keys)
    return inverse_of(identity, line.keys.pseudonyms).subject.container_identifier


def tags_of(sent: Sent, instance: str) -> set[str]:
    return set(sent.orthanc.get(f"/instances/{instance}/simplified-tags"))


def test_the_tile_can_be_found_again_in_the_ledger_by_its_patient_id(sent: Sent) -> None:
    told = {
        sent.orthanc.get(f"/instances/{one}/simplified-tags")["PatientID"]
        for one in sent.orthanc.get("/instances")
    }
    samplings = sent.line.vault.samplings(container_of(sent))
    known = {
        placement.tile_id
        for sampling in samplings
        for placement in placements_from_bytes(sampling.placements)
    }
    assert told <= known


@pytest.mark.parametrize("name", WAYS)
def test_sending_again_adds_nothing(sent: Sent, name: str) -> None:
    before = json.dumps(sorted(sent.orthanc.get("/instances")))
    with sent.line.journal._engine.begin() as connection:
        statement = update(parcels).where(parcels.c.route == name)
        connection.execute(statement.values(state=State.WAITING))
    sent.deliver(name)
    assert {one.state for one in sent.line.journal.board.shards()} == {State.DONE}
    assert json.dumps(sorted(sent.orthanc.get("/instances"))) == before
