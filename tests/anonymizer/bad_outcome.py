"""What has to become of a bad file: a refusal in our words, or an output that is clean; soon."""

from pathlib import Path

import pydicom

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from tests.anonymizer.bad_bytes import Outcome
from tests.anonymizer.bounded import bounded
from tests.anonymizer.planted import Canaries

METHOD = Method(pseudonyms=Pseudonyms(bytes(range(32))))


def assert_ends(folder: Path, content: bytes, outcome: Outcome) -> None:
    """De-identify a file in a child with bounds, and look at all that it wrote and said."""
    source, output = folder / "in.dcm", folder / "out"
    source.write_bytes(content)
    output.mkdir()
    end = bounded(lambda: deidentify_slide([source], output, METHOD).sentence)
    assert end.kind == outcome, end.words
    assert Canaries().left_in(end.words.encode()) == []
    assert Canaries().left_in(end.said) == []
    if outcome == "done":
        for path in output.iterdir():
            assert Canaries().left_in(path.read_bytes()) == []
            with quiet_pydicom():
                made = pydicom.dcmread(path)
            assert made.PatientIdentityRemoved == "YES"
            assert "PixelData" in made
