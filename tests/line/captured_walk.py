"""A slide walks the whole line in a network namespace of its own, and every packet is kept.

Run by `test_packet_capture` as `unshare -rn python -m tests.line.captured_walk FOLDER ORTHANC`.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from appliance.line import State
from appliance.temporary import free_ports, start_command, stop_command
from tests.line.appliance_site import ApplianceSite, wait_for
from tests.line.captured_routes import with_routes
from tests.line.conftest import clean_slide
from tests.line.orthanc import Orthanc, running_orthanc
from tests.line.packets import Capture, open_loopback

CANARY = "ZQXJKV"
DICOMWEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def walk(folder: Path, orthanc_program: str) -> None:
    """Walk a slide of the canary patient, and write what the tests have to know."""
    scan = clean_slide(folder / "scan", seed=3, canary=CANARY)
    with ExitStack() as stack:
        capture = stack.enter_context(Capture(folder / "packets"))
        registry = stack.enter_context(
            running_orthanc(
                orthanc_program, folder / "orthanc", "REGISTRY", {"Plugins": [DICOMWEB]}
            )
        )
        ports = {
            "registry": registry.dicom_port,
            "research-tiles": registry.http_port,
            "bucket": stack.enter_context(bucket(folder)),
            "dicom-tiles": stack.enter_context(study(folder)),
            "company": stack.enter_context(model_server("http")),
            "rack": stack.enter_context(model_server("grpc")),
        }

        def edit(text: str) -> str:
            return with_routes(text, keys=folder / "site" / "keys", ports=ports, folder=folder)

        site = stack.enter_context(ApplianceSite(folder / "site", edit=edit, forged=False))
        (slide_id,) = send(site, scan)
        wait_for(lambda: site.tended() and all_delivered(site), "both reports", limit_s=150)
        keep_what_arrived(registry, folder / "arrived")
    facts = {
        "slide_id": slide_id,
        "n_dropped": capture.n_dropped,
        "node_port": site.site.node_port,
        "ports": ports | {"pacs": site.site.pacs_port},
    }
    (folder / "facts.json").write_text(json.dumps(facts))


def send(site: ApplianceSite, scan: Path) -> set[str]:
    """Push a slide, and give its id once it is on the line."""
    assert site.send(scan) == 0
    wait_for(lambda: bool(site.slides()), "the slide is on the line")
    return set(site.slides())


@contextmanager
def bucket(folder: Path) -> Iterator[int]:
    """Run an S3 server with one empty bucket; give its port."""
    (port,) = free_ports(1)
    words = ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}/tiles"
    with (folder / "moto.log").open("wb") as log:
        server = subprocess.Popen([sys.executable, *words], stdout=log, stderr=log)
        try:
            wait_for(lambda: created(url), "the bucket is there")
            yield port
        finally:
            stop_command(server)


def created(url: str) -> bool:
    """Make a bucket; False when nobody answers yet."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=10).close()
    except OSError:
        return False
    return True


@contextmanager
def study(folder: Path) -> Iterator[int]:
    """Run a DICOM archive of a study outside; give its port."""
    (port,) = free_ports(1)
    received = folder / "study"
    received.mkdir()
    words = ["peer", "--ae", "STUDY", "--port", str(port), "--folder", str(received)]
    peer = start_command(words)
    try:
        yield port
    finally:
        stop_command(peer)


@contextmanager
def model_server(way: str) -> Iterator[int]:
    """Run a model server, whose answers are cheap to make; give its port.

    In a process of its own: what it sets for itself is nothing that our daemons inherit.
    """
    words = ["-m", "tests.dicom_node.oip_double", "--way", way, "--service-s", "0.001"]
    server = subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline().rpartition(":")[2])
    finally:
        server.communicate("")


def all_delivered(site: ApplianceSite) -> bool:
    """Whether every route had parcels, each arrived, and answers of the rack are reported."""
    parcels = [d for slide in site.slides().values() for d in slide.deliveries]
    parcels += site.board.shards()
    for one in parcels:
        assert one.state is not State.ASIDE, one
    (slide,) = site.slides().values()
    return (
        {one.route for one in parcels} == {route.name for route in site.settings.routes}
        and {one.state for one in parcels} == {slide.state} == {State.DONE}
        and slide.revision > 1
    )


def keep_what_arrived(registry: Orthanc, folder: Path) -> None:
    """Take from Orthanc what it received: the bare report, and tiles."""
    folder.mkdir()
    for instance in registry.get("/instances"):
        (folder / f"{instance}.dcm").write_bytes(registry.file(instance))


if __name__ == "__main__":
    open_loopback()
    walk(Path(sys.argv[1]), sys.argv[2])
