"""A small hospital in a folder: settings, keys, a scanner's slide, a PACS and a registry."""

import json
from dataclasses import dataclass
from pathlib import Path

from appliance.temporary import BLIND, bundled_models, free_ports, reads_pixels, run_command

SETTINGS = """\
# Written by coverslip demo. See docs/coverslip.toml for every key.
[storage]
root = {root}
soft_free_gib = 0.5
hard_free_gib = 0.2

[keys]
folder = {keys}

[deidentify]
{deidentify}

[node]
ae_title = "COVERSLIP"
host = "127.0.0.1"
port = {node_port}

[[scanners]]
name = "demo-scanner"
ae_title = "SCANNER"
addresses = ["127.0.0.0/8"]
quiet_s = 1.0

[[inference.models]]
folder = "bundled:tissue"
digest = "{tissue_digest}"

[[inference.models]]
folder = "bundled:artifact"
digest = "{artifact_digest}"

[[routes]]
name = "pacs"
recipient = "hospital"
place = "inside"
kind = "dimse"
carries = ["SR", "SEG"]
addresses = ["127.0.0.0/8"]
peer = {{ ae_title = "PACS", host = "127.0.0.1", port = {pacs_port} }}

[[routes]]
name = "research-tiles"
recipient = "university"
place = "outside"
kind = "folder"
carries = ["tiles"]
folder = {university}

[routes.policy]
mechanism = "coloured_tiles"
statement = "Does not protect against someone who holds the original slide."
um_px = 0.5
cell_px = 256
crop_px = 192
colours = 4
colour = 0
min_patients = 1        # the demo has one patient; a real policy asks for many
max_tiles_per_patient = 500
tiles_per_shard = 64

[[routes]]
name = "registry"
recipient = "registry"
place = "outside"
kind = "dimse"
carries = ["outside_sr"]
peer = {{ ae_title = "REGISTRY", host = "127.0.0.1", port = {registry_port} }}

[routes.policy]
mechanism = "bare_report"
statement = "Does not hide which verdicts and areas this laboratory gets."
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where everything of one demo lies."""

    folder: Path
    node_port: int
    pacs_port: int
    registry_port: int

    @property
    def root(self) -> Path:
        """The appliance's own folders."""
        return self.folder / "appliance"

    @property
    def settings_file(self) -> Path:
        """The appliance's settings."""
        return self.folder / "coverslip.toml"

    @property
    def pacs(self) -> Path:
        """What the PACS received."""
        return self.folder / "pacs"

    @property
    def registry(self) -> Path:
        """What the registry received."""
        return self.folder / "registry"

    @property
    def university(self) -> Path:
        """What the university received."""
        return self.folder / "university"


def make_site(folder: Path) -> Site:
    """Write settings and keys for a hospital in a fresh folder."""
    folder.mkdir(parents=True)
    node_port, pacs_port, registry_port = free_ports(3)
    site = Site(
        folder=folder, node_port=node_port, pacs_port=pacs_port, registry_port=registry_port
    )
    for received in (site.pacs, site.registry, site.university):
        received.mkdir()
    keys = folder / "keys"
    digests = bundled_models()
    site.settings_file.write_text(
        SETTINGS.format(
            root=json.dumps(str(site.root)),
            deidentify="" if reads_pixels() else BLIND,
            keys=json.dumps(str(keys)),
            university=json.dumps(str(site.university)),
            node_port=node_port,
            pacs_port=pacs_port,
            registry_port=registry_port,
            tissue_digest=digests["tissue"],
            artifact_digest=digests["artifact"],
        ),
        encoding="utf-8",
    )
    run_command(["keys", "init", "--folder", str(keys)])
    run_command(["--settings", str(site.settings_file), "privacy", "certify", "research-tiles"])
    return site
