"""A site that asks model servers: its own rack about every tile, a company about a sample."""

import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from anonymizer.keys.files import read_sign_key
from appliance.certificate import Figure, Measurement, write_certificate
from appliance.settings import ColouredTiles
from inference.model.bundle import BUNDLED

UM_PX, SIDE_PX = 1.0, 96
"""At a whole ratio to the slide's a tile holds the same pixels whatever is read beside it."""
_STATEMENT = "Does not protect against whoever holds the original."
_COLOURED = f"""\
mechanism = "coloured_tiles"
statement = "{_STATEMENT}"
um_px = {UM_PX}
cell_px = 128
crop_px = {SIDE_PX}
min_patients = 1
tiles_per_shard = 4
"""
_EVERY = f"""\
mechanism = "every_tile"
statement = "{_STATEMENT}"
um_px = {UM_PX}
tile_px = {SIDE_PX}
"""


@dataclass
class Server:
    """A model server that runs as a process of its own, around the bundled classifier."""

    url: str
    asked: dict[str, int] = field(default_factory=dict)
    """Once it ended: how many tiles it was asked about, and how many different ones."""


@contextmanager
def model_server(way: str) -> Iterator[Server]:
    """Run one by gRPC or HTTP."""
    words = [sys.executable, "-m", "tests.dicom_node.oip_double", "--way", way]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        server = Server(url=process.stdout.readline().strip())
        yield server
    finally:
        told, _ = process.communicate("")
    server.asked.update(json.loads(told))


def classifier_folder(folder: Path) -> Path:
    """Write the manifest of the bundled classifier, as made for generated slides."""
    folder.mkdir()
    text = (BUNDLED / "metastasis" / "model.toml").read_text()
    text = text.replace("59441001", "60184004").replace("um_px = 0.97", f"um_px = {UM_PX}")
    (folder / "model.toml").write_text(text)
    return folder


def asking(text: str, *, rack: list[str], company: list[str], model: Path) -> str:
    """Let the demo's settings ask servers, in place of all its routes outside."""
    routes = text.split("[[routes]]")
    kept = [part for part in routes if 'place = "outside"' not in part]
    assert len(kept) == len(routes) - 2
    inside = 'place = "site"\naddresses = ["127.0.0.0/8"]'
    added = (
        _route("rack", inside, rack, model, _EVERY),
        _route("company", 'place = "outside"', company, model, _COLOURED),
    )
    return "[[routes]]".join((*kept, *added))


def certify(keys: Path) -> None:
    """Stand for a measurement of the plan: what it says is no matter of these tests."""
    policy = ColouredTiles.model_validate(tomllib.loads(_COLOURED))
    figure = Figure(
        corpus="none", seen_by="nobody", name="top1", value=0.0, chance=0.0, limit=0.02, n=1
    )
    measurement = Measurement(
        plan_digest=policy.plan_digest,
        plan={"um_px": policy.um_px},
        measured_on=datetime.now(UTC).date().isoformat(),
        software="a test",
        corpora=(),
        figures=(figure,),
    )
    write_certificate(keys, measurement, read_sign_key(keys))


def _route(name: str, place: str, urls: list[str], model: Path, policy: str) -> str:
    digest = hashlib.sha256((model / "model.toml").read_bytes()).hexdigest()
    servers = ", ".join(f'{{ url = "{url}" }}' for url in urls)
    return f"""
name = "{name}"
recipient = "{name}-servers"
{place}
kind = "model_servers"
carries = ["tiles"]
servers = [{servers}]

[routes.model]
folder = "{model}"
digest = "sha256:{digest}"
name = "metastasis"
output = "probability"
batch = 8
report_after_s = 2.0

[routes.policy]
{policy}
"""
