"""De-identifies files with another tool; runs with the Python of an environment of the tools.

python deid_peer.py TOOL IN OUT: every file of IN, written to OUT under its name when the tool gives
one back. Each tool as its own documentation uses it, with its defaults.
"""

import contextlib
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path


def kitware(files: Sequence[Path], target: Path) -> None:
    """KitwareMedical dicom-anonymizer."""
    from dicomanonymizer import anonymize_dicom_file

    for file in files:
        with contextlib.suppress(Exception):
            anonymize_dicom_file(str(file), str(target / file.name))


def deid(files: Sequence[Path], target: Path) -> None:
    """pydicom/deid with its base recipe."""
    from deid.config import DeidRecipe
    from deid.dicom import get_identifiers, replace_identifiers

    for file in files:
        with contextlib.suppress(Exception):
            replace_identifiers(
                dicom_files=[str(file)],
                deid=DeidRecipe(),
                ids=get_identifiers([str(file)], expand_sequences=True),
                save=True,
                remove_private=True,
                output_folder=str(target),
                overwrite=True,
            )


def dicognito(files: Sequence[Path], target: Path) -> None:
    """Dicognito, one Anonymizer for all files."""
    import pydicom
    from dicognito.anonymizer import Anonymizer

    anonymizer = Anonymizer()
    for file in files:
        with contextlib.suppress(Exception):
            data_set = pydicom.dcmread(file)
            anonymizer.anonymize(data_set)
            data_set.save_as(target / file.name)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    tool, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with contextlib.redirect_stdout(io.StringIO()):
        globals()[tool](sorted(source.iterdir()), target)
