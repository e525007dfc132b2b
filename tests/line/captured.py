"""What a captured walk left, and what may stand around signed products on the wire."""

import json
import re
import tarfile
from collections import Counter
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from pydicom.uid import UID_dictionary

from appliance.synthetic.identity import SlideIdentity
from tests.line.captured_walk import CANARY
from tests.line.packets import Conversations, conversations
from tests.line.wire_dimse import Association, read_association
from tests.line.wire_http import Request

ANY_ID = "[0-9a-f]{32}"
PUT_HEADERS = {
    "host": r"127\.0\.0\.1:\d+",
    "accept": r"\*/\*",
    "user-agent": "coverslip",
    "content-length": r"\d+",
    "if-none-match": r"\*",
    "x-amz-date": r"\d{8}T\d{6}Z",
    "x-amz-checksum-sha256": "[A-Za-z0-9+/]{43}=",
    "x-amz-content-sha256": "[0-9a-f]{64}",
    "authorization": r"AWS4-HMAC-SHA256 Credential=AKIATESTTESTTEST/\d{8}/us-east-1/s3/"
    "aws4_request, SignedHeaders=host;if-none-match;x-amz-checksum-sha256;x-amz-content-sha256;"
    "x-amz-date, Signature=[0-9a-f]{64}",
}
STORE_HEADERS = {
    "host": r"127\.0\.0\.1:\d+",
    "accept": r"application/dicom\+json",
    "accept-encoding": "[a-z, ]+",
    "connection": "keep-alive",
    "user-agent": r"python-httpx/[\d.]+|coverslip",
    "content-length": r"\d+",
    "content-type": 'multipart/related; type="application/dicom"; boundary=[0-9a-f]{32}',
}
ASK_HEADERS = {
    "host": r"127\.0\.0\.1:\d+",
    "accept": r"\*/\*",
    "accept-encoding": "identity",
    "connection": "keep-alive",
    "user-agent": "coverslip",
    "content-type": "application/octet-stream",
    "content-length": r"\d+",
    "inference-header-content-length": r"\d+",
}
CALL_TEXTS = (
    r":path|:authority|te|trailers|content-type|user-agent|grpc-accept-encoding|grpc-timeout|"
    r"/inference\.GRPCInferenceService/Model(Metadata|Infer)|127\.0\.0\.1:\d+|application/grpc|"
    r"identity, deflate, gzip|\d+[mSu]|grpc-python/[\d.]+ grpc-c/[\d.]+ \(linux; chttp2\)"
)
"""Every text that may stand around tiles, as whole values of headers."""


class Walked:
    """The capture, and what lay on the disks when it ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
        self.ports: dict[str, int] = self.facts["ports"]
        self.root = folder / "site" / "appliance"

    @cached_property
    def talk(self) -> Conversations:
        return conversations(self.folder / "packets")

    @cached_property
    def scanned(self) -> list[pydicom.Dataset]:
        return [pydicom.dcmread(path) for path in sorted((self.folder / "scan").glob("*.dcm"))]

    def said_to(self, route: str) -> list[bytes]:
        """What was said on each connection to the peer of a route."""
        return [stream.content for stream in self.talk.to(self.ports[route])]

    def signed(self, route: str) -> list[Path]:
        """Files that release signed for a route."""
        outbox = self.root / "outbox" / route
        return [
            path for path in sorted(outbox.rglob("*")) if path.suffix not in ("", ".json", ".sig")
        ]

    def report_at_registry(self) -> Path:
        """The bare report as Orthanc keeps it."""
        arrived = (self.folder / "arrived").glob("*.dcm")
        (report,) = [path for path in arrived if pydicom.dcmread(path).Modality == "SR"]
        return report

    def associations(self, route: str) -> list[Association]:
        port = self.ports[route]
        asked = self.talk.to(port)
        answers = {one.target: one for one in self.talk.of(port) if one.source[1] == port}
        return [read_association(one.content, answers[one.source].content) for one in asked]


@cache
def needles(walked: Walked) -> set[bytes]:
    """What must be found nowhere outside: identity, UIDs and dates of the scan, and our own ids."""
    identity = SlideIdentity.canary(CANARY)
    found = {CANARY, CANARY.lower(), CANARY.capitalize(), walked.facts["slide_id"]}
    found |= set(identity.needles)
    for dataset in (*walked.scanned, *deidentified(walked)):
        for element in dataset.iterall():
            if element.VR == "UI" and element.value and not is_registered(str(element.value)):
                found.add(str(element.value))
            if element.VR in ("DA", "DT") and element.value:
                found.add(str(element.value)[:8])
    return {encoded for text in found for encoded in (text.encode(), text.encode("utf-16-le"))}


def deidentified(walked: Walked) -> list[pydicom.Dataset]:
    folder = walked.root / "deid"
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.rglob("*.dcm")]


def is_registered(uid: str) -> bool:
    return uid in UID_dictionary or uid.startswith("1.2.840.10008.")


def date_offset_days(walked: Walked) -> int:
    """By how many days the dates of this patient are moved."""
    moved = {str(one.StudyDate) for one in deidentified(walked)}
    true = {str(one.StudyDate) for one in walked.scanned}
    (before,), (after,) = true, moved
    return (pydicom.valuerep.DA(after) - pydicom.valuerep.DA(before)).days


def fits(headers: dict[str, str], allowed: dict[str, str]) -> bool:
    """Whether each header is one of these, and its whole value of the form given here."""
    return all(
        name in allowed and re.fullmatch(allowed[name], text) for name, text in headers.items()
    )


def made_by_the_test(request: Request) -> bool:
    """Whether the walk itself asked: to make the bucket, and what Orthanc has."""
    return request.headers["user-agent"].startswith("Python-urllib/")


def pixels_of(walked: Walked, route: str) -> Counter[bytes]:
    """Pixels of the tiles that release signed for model servers."""
    found = Counter[bytes]()
    for path in walked.signed(route):
        with tarfile.open(path) as shard:
            for member in shard:
                file = shard.extractfile(member)
                if file is not None and not member.name.endswith(".json"):
                    data = np.frombuffer(file.read(), np.uint8)
                    found[cv2.imdecode(data, cv2.IMREAD_COLOR_RGB).tobytes()] += 1
    return found


def parts_of(body: bytes, boundary: str) -> list[bytes]:
    """Take a multipart/related body of DICOM files apart (PS3.18 8.6.1.2.2)."""
    head = b"\r\nContent-Type: application/dicom\r\n\r\n"
    before, *parts, after = body.split(f"--{boundary}".encode())
    assert (before, after) == (b"", b"--\r\n")
    assert all(part.startswith(head) and part.endswith(b"\r\n") for part in parts)
    return [part[len(head) : -2] for part in parts]


def tiles_of(tensor: bytes) -> list[bytes]:
    """Pixels of each tile of a tensor `(n, 96, 96, 3)`."""
    size = 96 * 96 * 3
    assert len(tensor) % size == 0
    return [tensor[at : at + size] for at in range(0, len(tensor), size)]
