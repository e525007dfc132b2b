"""The units parse, and each daemon is kept to what its package may do."""

import configparser
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from anonymizer.keys.files import NAMES
from appliance.certificate import CERTIFICATES

UNITS = Path(__file__).parents[1] / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))


def service(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return dict(parser["Service"])


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_systemd_finds_no_mistake_in(path: Path, require_tool: Callable[[str], str]) -> None:
    done = subprocess.run(
        [require_tool("systemd-analyze"), "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if path.name in line]
    assert [line for line in said if "is not executable" not in line] == []


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_refused_settings_file_stops_the_daemon_for_good(path: Path) -> None:
    assert service(path)["RestartPreventExitStatus"] == "78"


@pytest.mark.parametrize("name", ["anonymize", "infer", "release"])
def test_who_needs_no_network_has_none(name: str) -> None:
    assert service(UNITS / f"coverslip-{name}.service")["PrivateNetwork"] == "yes"


def test_inference_cannot_open_identity_or_keys() -> None:
    hidden = service(UNITS / "coverslip-infer.service")["InaccessiblePaths"]
    for zone in ("original", "sealed", "vault", "receipts", "spool", "outbox", "answers"):
        assert f"-/var/lib/coverslip/{zone}" in hidden
    assert "-/etc/coverslip/keys" in hidden


def test_originals_are_forwarded_by_the_user_who_received_them() -> None:
    archive = service(UNITS / "coverslip-archive@.service")
    assert archive["User"] == service(UNITS / "coverslip-node.service")["User"]
    assert archive["ReadOnlyPaths"] == "/var/lib/coverslip/spool"
    for zone in ("outbox", "answers", "placed", "vault", "report", "sealed"):
        assert f"-/var/lib/coverslip/{zone}" in archive["InaccessiblePaths"]


ROOT = "/var/lib/coverslip"


def test_a_deliver_daemon_finds_its_own_outbox_and_answers_and_no_others() -> None:
    deliver = service(UNITS / "coverslip-deliver@.service")
    assert deliver["User"] == "deliver-%i", "one user for all could look through each other's /proc"
    assert deliver["TemporaryFileSystem"] == f"{ROOT}/outbox:ro {ROOT}/answers:ro"
    assert deliver["BindReadOnlyPaths"] == f"{ROOT}/outbox/%i"
    assert deliver["BindPaths"] == f"{ROOT}/answers/%i"
    for zone in ("original", "sealed", "deid", "findings", "report", "placed", "vault"):
        assert f"-{ROOT}/{zone}" in deliver["InaccessiblePaths"].split()


def test_answers_from_outside_reach_inference_only_through_release() -> None:
    infer = service(UNITS / "coverslip-infer.service")
    release = service(UNITS / "coverslip-release.service")
    assert f"{ROOT}/placed" in infer["ReadOnlyPaths"].split()
    assert f"{ROOT}/placed" in release["ReadWritePaths"].split()
    assert f"{ROOT}/answers" in release["ReadOnlyPaths"].split()


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_no_daemon_meets_a_zone_by_chance(path: Path) -> None:
    """Each zone that any unit names is named by every unit: writable, readable or hidden."""
    keys = ("ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "TemporaryFileSystem")
    everywhere = {zone for other in SERVICES for zone in zones(other, keys)}
    assert zones(path, keys) == everywhere


def zones(path: Path, keys: tuple[str, ...]) -> set[str]:
    words = " ".join(service(path).get(key, "") for key in keys).split()
    named = (word.removeprefix("-").removesuffix(":ro") for word in words)
    return {name.split("/")[4] for name in named if name.startswith(f"{ROOT}/")}


def credentials(path: Path) -> set[str]:
    lines = path.read_text().splitlines()
    return {
        line.split("=")[1].split(":")[0] for line in lines if line.startswith("LoadCredential=")
    }


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("node", {"seal.pub"}),
        ("anonymize", {"pseudonym.key"}),
        ("infer", set()),
        ("deliver@", {"sign.pub", "retired"}),
        ("archive@", set()),
        ("notify", set()),
        ("release", (set(NAMES) - {"seal.pub"}) | {CERTIFICATES}),
    ],
)
def test_each_daemon_is_handed_the_keys_it_needs_and_cannot_open_the_folder(
    name: str, keys: set[str]
) -> None:
    path = UNITS / f"coverslip-{name}.service"
    assert credentials(path) == keys
    assert "-/etc/coverslip/keys" in service(path)["InaccessiblePaths"].split()
