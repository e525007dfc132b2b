"""Routes of every kind that crosses the network, for the settings of a captured walk."""

import hashlib
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from anonymizer.keys.files import read_sign_key
from appliance.certificate import Figure, Measurement, write_certificate
from appliance.settings import ColouredTiles, Route

STATEMENT = "Does not protect against whoever holds the original."
MODEL = Path(__file__).parents[2] / "inference" / "models" / "metastasis"
TERMS = f"""\
mechanism = "coloured_tiles"
statement = "{STATEMENT}"
um_px = 0.97
cell_px = 128
crop_px = 96
min_patients = 1
tiles_per_shard = 4
"""
"""Few tiles make a batch, since one small slide gives few."""


def with_routes(text: str, *, keys: Path, ports: dict[str, int], folder: Path) -> str:
    """Lead the demo's registry to a port and its tiles to a DICOMweb service; add more routes.

    Parameters
    ----------
    text
        Settings of the demo: PACS inside, registry outside, tiles into a folder.
    keys
        Folder of the site's keys, which gets a certificate for the plan of the tiles.
    ports
        By route: where its peer listens on 127.0.0.1.
    folder
        For the files that the settings name.
    """
    registry = r'("REGISTRY", host = "127.0.0.1", port = )\d+'
    text, n_replaced = re.subn(registry, rf"\g<1>{ports['registry']}", text)
    plan = re.search(r'mechanism = "coloured_tiles"\n.*?\n(?=\n)', text, re.DOTALL)
    into_a_folder = re.search(r'kind = "folder"\ncarries = \["tiles"\]\nfolder = .*\n', text)
    assert n_replaced == 1
    assert plan is not None
    assert into_a_folder is not None
    text = text.replace(plan.group(), TERMS + "colour = 0\n")
    url = f"http://127.0.0.1:{ports['research-tiles']}/dicom-web"
    by_web = f'kind = "stow"\ncarries = ["tiles"]\nweb = {{ url = "{url}" }}\n'
    text = text.replace(into_a_folder.group(), by_web)
    write_certificate(keys, _measured(), read_sign_key(keys))
    return text + "".join(
        (
            _bucket(ports["bucket"], folder),
            _dicom(ports["dicom-tiles"]),
            _servers("company", f"http://127.0.0.1:{ports['company']}", "outside", TERMS),
            _servers("rack", f"grpc://127.0.0.1:{ports['rack']}", "site", _EVERY),
        )
    )


_EVERY = f"""\
mechanism = "every_tile"
statement = "{STATEMENT}"
um_px = 0.97
tile_px = 96
"""


def _measured() -> Measurement:
    """Stand for a measurement of the plan: what it says is no matter of these tests."""
    policy = ColouredTiles.model_validate(tomllib.loads(TERMS))
    figure = Figure(
        corpus="none", seen_by="nobody", name="top1", value=0.0, chance=0.0, limit=0.02, n=1
    )
    return Measurement(
        plan_digest=policy.plan_digest,
        plan={"um_px": policy.um_px},
        measured_on=datetime.now(UTC).date().isoformat(),
        software="a test",
        corpora=(),
        figures=(figure,),
    )


def _bucket(port: int, folder: Path) -> str:
    secret = folder / "bucket-keys.toml"
    secret.write_text('access_key_id = "AKIATESTTESTTEST"\nsecret_access_key = "not-secret"\n')
    secret.chmod(0o600)
    return f"""
[[routes]]
name = "bucket"
recipient = "institute"
place = "outside"
kind = "object_store"
carries = ["tiles"]
[routes.store]
url = "s3://tiles/from-a-hospital"
endpoint = "http://127.0.0.1:{port}"
region = "us-east-1"
credentials_file = "{secret}"
[routes.policy]
{TERMS}colour = 1
"""


def _dicom(port: int) -> str:
    return f"""
[[routes]]
name = "dicom-tiles"
recipient = "archive-of-a-study"
place = "outside"
kind = "dimse"
carries = ["tiles"]
peer = {{ ae_title = "STUDY", host = "127.0.0.1", port = {port} }}
[routes.policy]
{TERMS}colour = 2
"""


def _servers(name: str, url: str, place: str, policy: str) -> str:
    digest = hashlib.sha256((MODEL / "model.toml").read_bytes()).hexdigest()
    # Eighteen are no whole number of batches: some wait, so no third report is ever due.
    colour, addresses = "colour = 3\nmax_tiles_per_patient = 18", ""
    if place == "site":
        colour, addresses = "", 'addresses = ["127.0.0.0/8"]'
    return f"""
[[routes]]
name = "{name}"
recipient = "{name}"
place = "{place}"
kind = "model_servers"
carries = ["tiles"]
servers = [{{ url = "{url}" }}]
{addresses}
[routes.model]
folder = "{MODEL}"
digest = "sha256:{digest}"
name = "metastasis"
output = "probability"
batch = 16
[routes.policy]
{policy}{colour}
"""


def is_outside(route: Route) -> bool:
    """Whether a route leads to anybody else than the PACS, over the network."""
    return route.place != "inside" and bool(route.hosts)
