"""Real scanners' software sends real slides: what came is what a C receiver got, byte for byte."""

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from dicom_node.contexts import PATHOLOGY_SOP_CLASSES
from tests.dicom_node.faults.checks import Checks
from tests.dicom_node.faults.clinic import Clinic, wait_until
from tests.dicom_node.faults.ledger import Sent
from tests.dicom_node.faults.speaker import Context, Speaker
from tests.dicom_node.objects import data_set_offset
from tests.dicom_node.real_peers import (
    Certificates,
    Orthanc,
    certificates,
    free_port,
    listens,
    running_orthanc,
)

SLIDES = (
    ("dicom_converted/cmu_jpeg_tiled_sparse", "-xy"),
    ("dicom_converted/cmu_jpeg_concatenated3", "-xy"),
    ("dicom_converted/cmu_half_j2k_lossless", "-xv"),
    ("dicom_converted/tcga_cr_j2k_native", "-xw"),
    ("dicom_converted/cmu_half_jpegls_lossless", "-xt"),
    ("dicom_converted/cmu_half_rle", "-xr"),
)
"""Folders of shared data, and how storescu is told to propose their transfer syntax."""
NATIVE = "dicom/openslide_boxes"
LONGEST_UID = 64
Tool = Callable[[str], str]


@pytest.fixture
def clinic(make_clinic: Callable[..., Clinic]) -> Clinic:
    """A clinic whose slides are complete soon after their association."""
    one = make_clinic(quiet_s=0.3)
    one.start()
    return one


@pytest.fixture
def secure(tmp_path: Path, make_clinic: Callable[..., Clinic]) -> tuple[Clinic, Certificates]:
    """A clinic that speaks TLS and wants certificates."""
    made = certificates(tmp_path / "tls", "127.0.0.1", "localhost")
    tls = {"certificate": made.server, "key": made.server_key, "ca": made.ca}
    words = ", ".join(f"{name} = {json.dumps(str(path))}" for name, path in tls.items())
    one = make_clinic(quiet_s=0.3, node=f"tls = {{ {words} }}")
    one.start()
    return one, made


@pytest.mark.parametrize(("folder", "syntax"), SLIDES)
def test_what_storescu_sends_is_kept_as_storescp_keeps_it(
    clinic: Clinic, shared_data: Path, tmp_path: Path, require_tool: Tool, folder: str, syntax: str
) -> None:
    files = _files(shared_data / folder)
    send = [require_tool("storescu"), "-R", syntax, "--max-pdu", "131072"]
    with _storescp(require_tool, tmp_path) as reference:
        _run([*send, *_to(reference.port), *files])
        _run([*send, *_to(clinic.port), *files])
    reference.check(clinic, len(files))


@pytest.mark.parametrize("max_pdu", ["4096", "16384", "131072"])
def test_what_dcmsend_sends_is_kept_as_storescp_keeps_it(
    clinic: Clinic, shared_data: Path, tmp_path: Path, require_tool: Tool, max_pdu: str
) -> None:
    files = [*_files(shared_data / SLIDES[0][0]), *_files(shared_data / NATIVE)]
    send = [require_tool("dcmsend"), "--max-pdu", max_pdu]
    with _storescp(require_tool, tmp_path) as reference:
        _run([*send, *_to(reference.port), *files])
        _run([*send, *_to(clinic.port), *files])
    reference.check(clinic, len(files))


def test_echoscu_is_answered(clinic: Clinic, require_tool: Tool) -> None:
    _run([require_tool("echoscu"), *_to(clinic.port)])


@pytest.mark.filterwarnings("ignore:The value length")
def test_every_real_file_of_pathology_is_kept_byte_for_byte(
    clinic: Clinic, shared_data: Path
) -> None:
    syntaxes = set()
    folders = (shared_data / "dicom", shared_data / "dicom_converted")
    for path in (path for folder in folders for path in sorted(folder.rglob("*.dcm"))):
        header = dcmread(path, stop_before_pixels=True)
        syntax = str(header.file_meta.TransferSyntaxUID)
        context = Context(abstract=str(header.get("SOPClassUID", "1.2")), syntaxes=(syntax,))
        with Speaker(clinic.port) as speaker:
            if not speaker.associate([context]).accepted:
                assert context.abstract not in PATHOLOGY_SOP_CLASSES
                continue
            one = _sent(path, header)
            clinic.ledger.sends(one)
            status = speaker.store(one.uid, one.data_set, sop_class=context.abstract)
            if len(one.uid) > LONGEST_UID:  # one file's is too long
                assert status != 0
                continue
            assert status == 0, path.name
            clinic.ledger.hears_success(one)
            assert speaker.release()
        syntaxes.add(syntax)
    assert len(syntaxes) >= 8
    Checks(clinic).promises()


def test_what_orthanc_sends_as_a_scanner_is_kept_as_storescp_keeps_it(
    clinic: Clinic, shared_data: Path, tmp_path: Path, require_tool: Tool
) -> None:
    files = _files(shared_data / SLIDES[0][0])
    with _storescp(require_tool, tmp_path) as reference:
        modalities = _modalities(reference.port, clinic.port, tls=False)
        program, folder = require_tool("Orthanc"), tmp_path / "orthanc"
        with running_orthanc(program, folder, ae_title="SCANNER", **modalities) as orthanc:
            _send_from(orthanc, files, ["reference", "coverslip"])
    reference.check(clinic, len(files))


def test_what_orthanc_sends_over_tls_is_kept_as_storescp_keeps_it(
    secure: tuple[Clinic, Certificates], shared_data: Path, tmp_path: Path, require_tool: Tool
) -> None:
    clinic, made = secure
    files = _files(shared_data / SLIDES[0][0])
    tls = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(made.client),
        "DicomTlsPrivateKey": str(made.client_key),
        "DicomTlsTrustedCertificates": str(made.ca),
    }
    with _storescp(require_tool, tmp_path) as reference:
        tls |= _modalities(reference.port, clinic.port, tls=True)
        program, folder = require_tool("Orthanc"), tmp_path / "orthanc"
        with running_orthanc(program, folder, ae_title="SCANNER", **tls) as orthanc:
            _send_from(orthanc, files, ["reference", "coverslip"])
    reference.check(clinic, len(files))


def test_what_storescu_sends_over_tls_is_kept_as_storescp_keeps_it(
    secure: tuple[Clinic, Certificates], shared_data: Path, tmp_path: Path, require_tool: Tool
) -> None:
    clinic, made = secure
    files = _files(shared_data / SLIDES[0][0])
    send = [require_tool("storescu"), "-R", SLIDES[0][1], "--max-pdu", "131072"]
    identity = ["+tls", str(made.client_key), str(made.client), "+cf", str(made.ca)]
    with _storescp(require_tool, tmp_path) as reference:
        _run([*send, *_to(reference.port), *files])
        _run([*send, *identity, *_to(clinic.port), *files])
    reference.check(clinic, len(files))


def test_who_shows_no_certificate_or_a_strange_one_is_not_let_in(
    secure: tuple[Clinic, Certificates], tmp_path: Path, require_tool: Tool
) -> None:
    clinic, made = secure
    stranger = certificates(tmp_path / "stranger", "127.0.0.1")
    echo = require_tool("echoscu")
    good = ["+tls", str(made.client_key), str(made.client), "+cf", str(made.ca)]
    for bad in (
        [],
        ["+tla", "+cf", str(made.ca)],
        ["+tls", str(stranger.client_key), str(stranger.client), "+cf", str(made.ca)],
    ):
        done = subprocess.run(
            [echo, *bad, "-to", "5", *_to(clinic.port)],
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode != 0
        _run([echo, *good, *_to(clinic.port)])


@dataclass(frozen=True, kw_only=True)
class Reference:
    """DCMTK's storescp, which keeps every bit, and what it kept."""

    port: int
    folder: Path

    def check(self, clinic: Clinic, n_files: int) -> None:
        """Check that the node has the same objects, byte for byte, and they are on the line."""
        kept = sorted(self.folder.iterdir())
        assert len(kept) == len(list(clinic.instances.iterdir())) == n_files
        for path in kept:
            one = _sent(path, dcmread(path, stop_before_pixels=True))
            clinic.ledger.sends(one)
            clinic.ledger.hears_success(one)
        checks = Checks(clinic)
        checks.promises()
        checks.await_line()
        checks.line()


@contextmanager
def _storescp(require_tool: Tool, folder: Path) -> Iterator[Reference]:
    one = Reference(port=free_port(), folder=folder / "reference")
    one.folder.mkdir()
    words = [require_tool("storescp"), "+xa", "+B", "-pdu", "131072", "-aet", "COVERSLIP"]
    words += ["-od", str(one.folder), str(one.port)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: listens(one.port))
            yield one
        finally:
            process.terminate()


def _modalities(reference_port: int, port: int, *, tls: bool) -> dict[str, Any]:
    """Tell Orthanc where it may send to."""
    one = {"AET": "COVERSLIP", "Host": "127.0.0.1"}
    return {
        "DicomModalities": {
            "reference": {**one, "Port": reference_port},
            "coverslip": {**one, "Port": port, "UseDicomTls": tls},
        }
    }


def _send_from(orthanc: Orthanc, files: Sequence[Path], modalities: Sequence[str]) -> None:
    for path in files:
        _post(f"{orthanc.base}/instances", path.read_bytes())
    order = json.dumps({"Resources": orthanc.get("/instances"), "Synchronous": True}).encode()
    for name in modalities:
        _post(f"{orthanc.base}/modalities/{name}/store", order)


def _post(url: str, content: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, data=content), timeout=120) as answer:
        answer.read()


def _sent(path: Path, header: Dataset) -> Sent:
    return Sent(
        uid=str(header.SOPInstanceUID),
        study=str(header.StudyInstanceUID),
        data_set=path.read_bytes()[data_set_offset(path) :],
    )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.dcm"))


def _to(port: int) -> list[str]:
    return ["-aec", "COVERSLIP", "-aet", "SCANNER", "127.0.0.1", str(port)]


def _run(words: Sequence[str | Path]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
