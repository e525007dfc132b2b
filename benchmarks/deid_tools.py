"""The tools that are compared: ours, and others from their packages in an environment of their own.

A tool takes the files of one slide and gives for each the file that stands for it, or None when it
let none pass. The environment is made on the first run under `build/`, with pinned versions.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.part10.elements import Header, integer
from anonymizer.part10.reading import read_header
from anonymizer.pseudonyms import Pseudonyms
from appliance.errors import RejectedError

PINNED = ("dicom-anonymizer==2.1.0", "deid==0.4.13", "dicognito==0.19.0", "pydicom==3.0.2")
ENVIRONMENT = Path(__file__).parents[1] / "build" / "deid-peers"
_SHAPE = (0x00480006, 0x00480007, 0x00280008, 0x00209162, 0x00209228)

Outputs = Mapping[Path, Path | None]
"""For every input file the output that stands for it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool and how it is run on the files of one slide."""

    name: str
    run: Callable[[Sequence[Path], Path], Outputs]


def ours(method: Method | None = None) -> Tool:
    """Coverslip, as the line runs it on one slide."""
    chosen = method or Method(pseudonyms=Pseudonyms(bytes(range(32))))

    def run(files: Sequence[Path], target: Path) -> Outputs:
        target.mkdir(parents=True, exist_ok=True)
        try:
            deidentify_slide(files, target, chosen)
        except RejectedError as error:
            print(f"Coverslip refused a slide: {error}", file=sys.stderr)
            return dict.fromkeys(files)
        made = {_shape(read_header(path)): path for path in sorted(target.glob("*.dcm"))}
        return {file: _standing_for(read_header(file), made) for file in files}

    return Tool("Coverslip", run)


def peers() -> list[Tool]:
    """Give the other tools; their environment is made when it is not there."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        print(f"making {ENVIRONMENT} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PINNED],
            check=True,
        )
    names = {"kitware": "dicom-anonymizer", "deid": "deid", "dicognito": "dicognito"}
    return [_peer(python, function, name) for function, name in names.items()]


def _peer(python: Path, function: str, name: str) -> Tool:
    driver = Path(__file__).with_name("deid_peer.py")

    def run(files: Sequence[Path], target: Path) -> Outputs:
        source = target / "in"
        made = target / "out"
        source.mkdir(parents=True)
        made.mkdir()
        for file in files:
            shutil.copy(file, source / file.name)
        subprocess.run(
            [python, driver, function, source, made], check=True, stderr=subprocess.DEVNULL
        )
        shutil.rmtree(source)
        outputs = {file: made / file.name for file in files}
        return {file: path if path.exists() else None for file, path in outputs.items()}

    return Tool(name, run)


def _shape(header: Header) -> tuple[int | None, ...]:
    return tuple(integer(header.elements, tag) for tag in _SHAPE)


def _standing_for(header: Header, made: Mapping[tuple[int | None, ...], Path]) -> Path | None:
    tissue = header.text(0x00080008).split("\\")[2:3] == ["VOLUME"]
    return made.get(_shape(header)) if tissue else None
