"""Vendor slide files (SVS, NDPI, ...) into DICOM, in a Python environment of their own.

The converter pins an older wsidicom and changes pydicom's behaviour for its whole process, so it
never shares an environment with the appliance. The environment is made when it is first needed.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import ConfigError, UnsuitableSlide

ENVIRONMENT = Path(sys.prefix) / "converter"
LOCK = Path(__file__).parent / "requirements.lock"
SCRIPT = Path(__file__).parent / "convert.py"
NO_TURBOJPEG = 3
"""Exit code of the converter when libturbojpeg is missing."""
PREAMBLE_BYTES = 128
VENDOR_SUFFIXES = frozenset(
    {".bif", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".tif", ".tiff", ".vms", ".vmu"}
)
"""How the names of vendors' slide files end, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInIdentity:
    """What a vendor file does not say: whose slide it is."""

    patient_id: str
    patient_name: str
    container_identifier: str


def is_dicom(path: Path) -> bool:
    """Whether a file is a DICOM file by its preamble (PS3.10 7.1)."""
    with path.open("rb") as file:
        return file.read(PREAMBLE_BYTES + 4)[PREAMBLE_BYTES:] == b"DICM"


def dicom_folder(
    source: Path, target: Path, identity: StandInIdentity, *, say: Callable[[str], None]
) -> Path:
    """Give a folder of DICOM instances for a slide, converting it when it is a vendor's file.

    Parameters
    ----------
    source
        A folder of DICOM instances, or a slide file.
    target
        Where converted instances go; made when needed.
    identity
        Written into converted instances.
    say
        Told what takes long.

    Raises
    ------
    UnsuitableSlide
        The source is missing or no slide that the converter reads.
    ConfigError
        The converter cannot be set up on this machine.
    """
    if not source.exists():
        raise UnsuitableSlide(f"There is no slide at {source}.")
    if source.is_dir():
        return source
    if is_dicom(source):
        raise UnsuitableSlide("Give the folder that holds all instances of the slide.")
    if not (ENVIRONMENT / "ready").exists():
        say("converter is being installed (once)")
        _install()
    say("converting to DICOM")
    target.mkdir(parents=True)
    _convert(source, target, identity)
    return target


def _install() -> None:
    python = ENVIRONMENT / "bin" / "python"
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
            str(LOCK),
        ],
    )
    for step in steps:
        if subprocess.run(step, check=False, stdout=subprocess.DEVNULL).returncode:  # noqa: S603
            raise ConfigError("The converter for vendor slides could not be installed.")
    (ENVIRONMENT / "ready").touch()


def _convert(source: Path, target: Path, identity: StandInIdentity) -> None:
    command = [str(ENVIRONMENT / "bin" / "python"), str(SCRIPT), str(source), str(target)]
    command += ["--patient-id", identity.patient_id, "--patient-name", identity.patient_name]
    command += ["--container-identifier", identity.container_identifier]
    done = subprocess.run(command, check=False, capture_output=True)  # noqa: S603
    if done.returncode == NO_TURBOJPEG:
        raise ConfigError(
            "Converting vendor slides needs the library libturbojpeg: apt install libturbojpeg0."
        )
    if done.returncode:
        raise UnsuitableSlide("The converter cannot read this slide file.")
