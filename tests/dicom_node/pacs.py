"""Archives with slides in them: DCMTK's dcmqrscp, Orthanc, and one that answers oddly."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from appliance.errors import ApplianceError
from appliance.temporary import free_ports
from dicom_node.contexts import TRANSFER_SYNTAXES, VL_WHOLE_SLIDE_MICROSCOPY
from dicom_node.send.association import Endpoint, echo
from dicom_node.send.sender import dicom_files, send
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import Image, data_set_offset, dataset_of
from tests.line.orthanc import running_orthanc

AE_TITLE = "PACS"
ACCESSION = "ACC-26-0815"
PATIENT_ID = "CANARY-ID"


def endpoint_at(port: int) -> Endpoint:
    return Endpoint(
        host="127.0.0.1", port=port, called_ae_title=AE_TITLE, calling_ae_title="COVERSLIP"
    )


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Files of a certificate for this machine, its key, and the authority that issued it."""

    certificate: Path
    key: Path
    ca: Path


def issue_certificates(
    folder: Path, *names: str, expires_at: datetime | None = None
) -> Certificates:
    """Make a new authority, and have it issue one certificate."""
    folder.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert(*(names or ("localhost", "127.0.0.1")), not_after=expires_at)
    made = Certificates(
        certificate=folder / "cert.pem", key=folder / "key.pem", ca=folder / "ca.pem"
    )
    made.certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    made.key.write_bytes(issued.private_key_pem.bytes())
    made.ca.write_bytes(authority.cert_pem.bytes())
    return made


def write_filed(
    image: Image, folder: Path, *, accession: str = ACCESSION, modality: str = "SM"
) -> Path:
    """Write an object with what an archive files it by."""
    one = dataset_of(image)
    one.AccessionNumber = accession
    one.Modality = modality
    one.StudyDate, one.StudyTime, one.StudyID = "20260101", "120000", "1"
    one.SeriesNumber, one.InstanceNumber = "1", "1"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image.uid}.dcm"
    one.save_as(path, enforce_file_format=True)
    return path


def content_hashes(paths: list[Path]) -> set[str]:
    """Hashes of data sets, without the file meta information that each receiver writes itself."""
    return {
        hashlib.sha256(path.read_bytes()[data_set_offset(path) :]).hexdigest() for path in paths
    }


@contextmanager
def running_dcmqrscp(
    program: str, folder: Path, *, node_port: int, knows: str = "COVERSLIP"
) -> Iterator[Endpoint]:
    """Run dcmqrscp; it knows our node by one AE title, and answers anyone."""
    (port,) = free_ports(1)
    storage = folder / "storage"
    storage.mkdir(parents=True)
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\ncoverslip = ({knows}, localhost, {node_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{AE_TITLE} {storage} RW (100, 1024mb) ANY\nAETable END\n"
    )
    with (folder / "dcmqrscp.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-v", "-c", str(folder / "dcmqrscp.cfg"), "+xy", "-xy"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: _answers(endpoint_at(port)), 20)
            yield endpoint_at(port)
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def running_archive_orthanc(
    program: str,
    folder: Path,
    *,
    node_port: int,
    knows: str = "COVERSLIP",
    more: Mapping[str, object] | None = None,
) -> Iterator[Endpoint]:
    """Run Orthanc; it knows our node by one AE title. `more` is added to its settings."""
    settings = {
        "DicomModalities": {"coverslip": [knows, "127.0.0.1", node_port]},
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        **(more or {}),
    }
    with running_orthanc(program, folder, AE_TITLE, settings) as orthanc:
        yield endpoint_at(orthanc.dicom_port)


ARCHIVES = {"dcmqrscp": running_dcmqrscp, "Orthanc": running_archive_orthanc}


def file_in(archive: Endpoint, folder: Path) -> None:
    """File every object of a folder in an archive."""
    send(dicom_files(folder), archive)


Answers = Iterator[tuple[int, Dataset | None]]


@contextmanager
def odd_archive(
    *,
    find: Callable[[evt.Event], Answers] | None = None,
    move: Callable[[evt.Event], Iterator[object]] | None = None,
    get: Callable[[evt.Event], Iterator[object]] | None = None,
) -> Iterator[Endpoint]:
    """Run an archive that does what real ones seldom do, as handlers of pynetdicom."""
    entity = AE(ae_title=AE_TITLE)
    entity.add_supported_context(Verification)
    entity.add_supported_context(
        VL_WHOLE_SLIDE_MICROSCOPY, list(TRANSFER_SYNTAXES), scu_role=True, scp_role=True
    )
    handlers = []
    for event, handler, context in (
        (evt.EVT_C_FIND, find, StudyRootQueryRetrieveInformationModelFind),
        (evt.EVT_C_MOVE, move, StudyRootQueryRetrieveInformationModelMove),
        (evt.EVT_C_GET, get, StudyRootQueryRetrieveInformationModelGet),
    ):
        if handler is not None:
            entity.add_supported_context(context)
            handlers.append((event, handler))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield endpoint_at(server.server_address[1])
    finally:
        server.shutdown()


def _answers(endpoint: Endpoint) -> bool:
    try:
        echo(endpoint)
    except ApplianceError:
        return False
    return True
