"""`coverslip import` as a person types it: a real node, real archives, real sockets."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from appliance import conversion
from appliance.command import main
from appliance.daemon import open_journal
from appliance.errors import EXIT_CONFIG, ConfigError
from appliance.line import Stage
from appliance.settings import Node, Scanner, ServerTls
from appliance.storage import Root
from dicom_node.fetch.own_node import own_address, scanner_for
from dicom_node.fetch.own_tls import own_tls
from dicom_node.fetch.private_folder import FOLDER, private_folder
from dicom_node.peer import ArchivePeer
from dicom_node.send.association import Endpoint
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import CT_IMAGE, Image, write
from tests.dicom_node.pacs import (
    ACCESSION,
    ARCHIVES,
    content_hashes,
    file_in,
    issue_certificates,
    write_filed,
)
from tests.dicom_node.test_processes import NodeProcess

EXIT_REFUSED = 2

PACS_MAY_SEND = """
[[scanners]]
name = "pacs"
ae_title = "PACS"
addresses = ["127.0.0.0/8"]
quiet_s = 0.2
"""


class Appliance(NodeProcess):
    """A running node, and the command beside it."""

    def route_to(self, archive: Endpoint) -> None:
        with self.settings_file.open("a") as file:
            file.write(
                f"""
                [[routes]]
                name = "pacs"
                recipient = "hospital"
                place = "inside"
                kind = "dimse"
                carries = ["SR"]
                addresses = ["127.0.0.0/8"]
                peer = {{ ae_title = "PACS", host = "127.0.0.1", port = {archive.port} }}
                [[routes]]
                name = "university"
                recipient = "university"
                place = "outside"
                kind = "folder"
                carries = ["tiles"]
                folder = "/srv/university"
                [routes.policy]
                mechanism = "coloured_tiles"
                statement = "Nothing that a test has to protect."
                """
            )

    def types(self, *arguments: str | Path) -> int:
        return main(["--settings", str(self.settings_file), "import", *map(str, arguments)])

    def received(self) -> set[str]:
        return {one.stem for one in (self.root.zone("spool") / "instances").iterdir()}

    def private_files(self) -> list[Path]:
        return list((self.root.zone("spool") / FOLDER).rglob("*"))

    def originals(self) -> set[str]:
        """Hashes of the objects of the one slide that was assembled."""
        board = open_journal(self.settings).board
        stages = [(one.slide_id, one.stage) for one in board.snapshot()]
        if [stage for _, stage in stages] != [Stage.DEIDENTIFY]:
            return set()
        folder = board.folder(stages[0][0], Stage.ASSEMBLE)
        assert folder is not None
        return content_hashes(list((self.root.zone("original") / folder).glob("*.dcm")))


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    one = Appliance(tmp_path, node=PACS_MAY_SEND)
    yield one
    if one.process.poll() is None:
        one.end(signal.SIGTERM)


@pytest.fixture
def slide(tmp_path: Path) -> list[Path]:
    """Two objects of one slide, and a report beside them that is none."""
    image = Image()
    label = replace(image, uid=generate_uid(), flavour="LABEL", rows=8, columns=8)
    report = Image(study=image.study, sop_class=CT_IMAGE)
    write_filed(report, tmp_path / "slide", modality="CT")
    return [write_filed(one, tmp_path / "slide") for one in (image, label)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """An appliance at which nothing that is typed comes on the line."""
    one = Appliance(tmp_path_factory.mktemp("desk"), node=PACS_MAY_SEND)
    one.route_to(one.endpoint)
    yield one
    one.end(signal.SIGTERM)


@pytest.fixture(params=ARCHIVES)
def archive(
    request: pytest.FixtureRequest,
    appliance: Appliance,
    slide: list[Path],
    tmp_path: Path,
    require_tool: Callable[[str], str],
) -> Iterator[Endpoint]:
    """An archive that holds the slide, and a route to it."""
    run, port = ARCHIVES[request.param], appliance.endpoint.port
    with run(require_tool(request.param), tmp_path / "pacs", node_port=port) as one:
        file_in(one, tmp_path / "slide")
        appliance.route_to(one)
        yield one


@pytest.mark.parametrize("way", [[], ["--via", "get", "--as", "SCANNER"]])
def test_a_slide_in_an_archive_comes_on_the_line_once_and_as_it_was_filed(
    archive: Endpoint, appliance: Appliance, slide: list[Path], way: list[str], capsys
) -> None:
    for _ in range(2):
        assert appliance.types("--from", "pacs", "--accession", ACCESSION, *way) == 0
    assert appliance.received() == content_hashes(slide)
    wait_until(lambda: appliance.originals() == content_hashes(slide), 20)
    said = capsys.readouterr()
    assert "2 objects" in said.out
    assert "CANARY" not in said.out + said.err
    if way:
        assert appliance.private_files() == []


def test_a_dry_run_says_how_much_there_is_and_nothing_of_whom(
    archive: Endpoint, appliance: Appliance, capsys
) -> None:
    ask = ["--from", "pacs", "--accession", ACCESSION, "--dry-run"]
    assert appliance.types(*ask) == 0
    assert capsys.readouterr().out.splitlines() == [
        "study 1  series 1  SM  2 objects",
        "1 series of slides in 1 study, 2 objects.",
    ]
    assert appliance.types(*ask, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "series": [{"study": 1, "series": 1, "modality": "SM", "objects": 2}],
        "objects": 2,
    }
    assert appliance.received() == set()
    assert appliance.types("--from", "pacs", "--accession", "ACC-NONE") == EXIT_REFUSED
    assert "knows no slides" in capsys.readouterr().err


def test_an_archive_that_sends_elsewhere_is_noticed(
    appliance: Appliance,
    slide: list[Path],
    tmp_path: Path,
    require_tool: Callable[[str], str],
    capsys,
) -> None:
    elsewhere = ArchivePeer(folder=tmp_path / "elsewhere")
    port = elsewhere.start(ae_title="COVERSLIP", host="127.0.0.1", port=0)
    try:
        with ARCHIVES["dcmqrscp"](
            require_tool("dcmqrscp"), tmp_path / "pacs", node_port=port
        ) as archive:
            file_in(archive, tmp_path / "slide")
            appliance.route_to(archive)
            code = appliance.types("--from", "pacs", "--accession", ACCESSION)
    finally:
        elsewhere.stop()
    assert code == EXIT_REFUSED
    said = capsys.readouterr().err
    assert "sent 2 objects, and none came" in said
    assert "enter our node as a destination" in said


def test_an_archive_that_is_down_is_said_with_a_next_step(
    appliance: Appliance, slide: list[Path], capsys
) -> None:
    appliance.route_to(replace(appliance.endpoint, port=1))
    assert appliance.types("--from", "pacs", "--accession", ACCESSION) == EXIT_REFUSED
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "then import again" in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], EXIT_REFUSED, "either files and folders, or --from"),
        (["SRC", "--from", "pacs"], EXIT_REFUSED, "either files and folders, or --from"),
        (["SRC", "--accession", "A"], EXIT_REFUSED, "asked by --from"),
        (["--from", "pacs"], EXIT_REFUSED, "One of accession number, study and patient"),
        (["--from", "pacs", "--accession", "*"], EXIT_REFUSED, "can be none"),
        (["--from", "pacs", "--as", "SCANNER", "--study", "1.2"], EXIT_REFUSED, "--via get"),
        (["--from", "university", "--study", "1.2"], EXIT_CONFIG, "university is none"),
        (["--from", "pac", "--study", "1.2"], EXIT_CONFIG, "did you mean pacs"),
        (["SRC"], EXIT_CONFIG, "say as which with --as (PACS, SCANNER)"),
        (["SRC", "--as", "NOBODY"], EXIT_CONFIG, "no scanner with the AE title NOBODY"),
        (["SRC/nothing"], EXIT_REFUSED, "There is no slide at"),
    ],
)
def test_an_unclear_command_is_one_sentence(
    desk: Appliance, slide: list[Path], arguments: list[str], code: int, words: str, capsys
) -> None:
    folder = str(slide[0].parent)
    assert desk.types(*(one.replace("SRC", folder) for one in arguments)) == code
    assert words in capsys.readouterr().err
    assert desk.received() == set()


def test_files_and_folders_are_sent_as_a_scanner_would(
    appliance: Appliance, tmp_path: Path, capsys
) -> None:
    paths = [write(Image(), tmp_path / "one"), write(Image(), tmp_path / "two" / "deep")]
    (tmp_path / "two" / "notes.txt").write_text("not DICOM")
    arguments = [tmp_path / "one", tmp_path / "two", "--as", "SCANNER", "--json"]
    assert appliance.types(*arguments, "--dry-run") == 0
    assert json.loads(capsys.readouterr().out) == {"objects": 2, "vendor_slides": 0}
    assert appliance.types(*arguments) == 0
    assert json.loads(capsys.readouterr().out)["n_objects"] == 2
    assert appliance.received() == content_hashes(paths)


def test_an_object_that_the_node_refuses_does_not_keep_the_others_away(
    appliance: Appliance, slide: list[Path], capsys
) -> None:
    assert appliance.types(slide[0].parent, "--as", "SCANNER") == EXIT_REFUSED
    assert appliance.received() == content_hashes(slide)
    said = capsys.readouterr().err
    assert "Our own node did not take everything" in said
    assert "Read on the screen" in said


def test_a_node_that_does_not_run_is_said_so(
    appliance: Appliance, slide: list[Path], capsys
) -> None:
    appliance.end(signal.SIGTERM)
    assert appliance.types(slide[0], "--as", "SCANNER") == EXIT_REFUSED
    assert "Check that the node runs" in capsys.readouterr().err


def test_a_node_that_never_ran_is_said_so(appliance: Appliance, slide: list[Path], capsys) -> None:
    appliance.end(signal.SIGTERM)
    appliance.port_file.unlink()
    assert appliance.types(slide[0], "--as", "SCANNER") == EXIT_REFUSED
    assert "has never run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --patient-id"),
        (["--patient-id", "P1", "--container", "C1"], "several slides"),
    ],
)
def test_vendor_slides_need_to_be_somebodys(
    desk: Appliance, tmp_path: Path, arguments: list[str], words: str, capsys
) -> None:
    for name in ("a.svs", "b.ndpi"):
        (tmp_path / name).write_bytes(b"II*\0")
    arguments = [tmp_path / "a.svs", tmp_path / "b.ndpi", "--as", "SCANNER", *arguments]
    assert desk.types(*arguments) == EXIT_REFUSED
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_vendor_slide_is_converted_and_put_on_the_line(
    appliance: Appliance, shared_data: Path
) -> None:
    source = shared_data / "slides" / "CMU-1-Small-Region.svs"
    assert appliance.types(source, "--as", "SCANNER", "--patient-id", "P1") == 0
    wait_until(lambda: appliance.originals() == appliance.received() != set(), 30)
    assert appliance.private_files() == []
    assert (conversion.ENVIRONMENT / "ready").exists()


@pytest.mark.parametrize("clients", ["required", "none"])
@pytest.mark.parametrize("names", [("127.0.0.1",), ("node.hospital.example",)])
def test_files_reach_a_node_that_speaks_tls(
    tmp_path: Path, clients: str, names: tuple[str, ...]
) -> None:
    made = issue_certificates(tmp_path / "tls", *names)
    tls = {name: str(getattr(made, name)) for name in ("certificate", "key", "ca")}
    words = ", ".join(f"{key} = {json.dumps(value)}" for key, value in tls.items())
    appliance = Appliance(tmp_path, node=f'tls = {{ {words}, clients = "{clients}" }}')
    try:
        path = write(Image(), tmp_path / "slide")
        assert appliance.types(path) == 0
        assert appliance.received() == content_hashes([path])
    finally:
        appliance.end(signal.SIGTERM)


def test_a_scanner_with_a_certificate_of_its_own_cannot_be_played(tmp_path: Path) -> None:
    made = issue_certificates(tmp_path / "tls")
    ours = own_tls(ServerTls(certificate=made.certificate, key=made.key, ca=made.ca)).shown
    far = scanner("pinned", "127.0.0.0/8").model_copy(update={"certificate": "sha256:" + "0" * 64})
    own = scanner("own", "127.0.0.0/8").model_copy(update={"certificate": ours})
    here = own_address("127.0.0.1")
    assert scanner_for([far, own], here, None, shown=ours).name == "own"
    with pytest.raises(ConfigError, match="no certificate of its own"):
        scanner_for([far, own], here, "PINNED", shown=ours)
    with pytest.raises(ConfigError, match="No scanner"):
        scanner_for([far, own], here, None)


def test_a_certificate_that_cannot_serve_is_a_setting_to_correct(tmp_path: Path) -> None:
    made, other = (issue_certificates(tmp_path / name) for name in ("one", "other"))
    with pytest.raises(ConfigError, match=r"node\.tls\.key"):
        own_tls(ServerTls(certificate=made.certificate, key=other.key, ca=made.ca))
    expired = issue_certificates(tmp_path / "expired", expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(ConfigError, match="not valid for a server now"):
        own_tls(ServerTls(certificate=expired.certificate, key=expired.key, ca=expired.ca))


def scanner(name: str, network: str) -> Scanner:
    return Scanner(name=name, ae_title=name.upper(), addresses=(ip_network(network),))


def test_the_only_scanner_that_may_send_from_here_is_taken() -> None:
    scanners = [scanner("far", "10.0.0.0/8"), scanner("near", "127.0.0.0/8")]
    here = own_address("127.0.0.1")
    assert scanner_for(scanners, here, None).name == "near"
    assert scanner_for(scanners, ip_address("10.0.0.5"), None).name == "far"
    with pytest.raises(ConfigError, match="Scanner far may not send from"):
        scanner_for(scanners, here, "FAR")
    with pytest.raises(ConfigError, match=r'addresses = \["127.0.0.1/32"\]'):
        scanner_for(scanners[:1], here, None)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        (Node().host, "127.0.0.1"),
        ("::", "::1"),
        ("10.0.0.5", "10.0.0.5"),
        ("localhost", None),
    ],
)
def test_our_own_node_is_met_where_it_listens(host: str, address: str | None) -> None:
    found = own_address(host)
    assert found.is_loopback if address is None else str(found) == address


def test_a_host_without_an_address_is_a_setting_to_correct() -> None:
    with pytest.raises(ConfigError, match=r"node\.host"):
        own_address("nowhere.invalid")


def test_the_folder_of_a_killed_import_goes_with_the_next_one(tmp_path: Path) -> None:
    root = Root(tmp_path)
    zone = root.zone("spool") / FOLDER
    with private_folder(root) as running:
        (running / "object").write_bytes(b"content")
        left = zone / "of-a-killed-one"
        (left / "incoming").mkdir(parents=True)
        with private_folder(root) as other:
            assert {running, other} == set(zone.iterdir())
        assert (running / "object").exists()
    assert list(zone.iterdir()) == []
