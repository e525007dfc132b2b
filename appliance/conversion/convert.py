"""Convert one vendor slide file to DICOM. Run by the converter's own Python, never imported.

Exit codes: 0 converted, 1 the slide cannot be read, 3 libturbojpeg is missing.
"""

import argparse
import sys
from pathlib import Path

CANNOT_READ = 1
NO_TURBOJPEG = 3


def main() -> int:
    """Convert the slide that the command line names."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("source", type=Path)
    arguments.add_argument("target", type=Path)
    arguments.add_argument("--patient-id", required=True)
    arguments.add_argument("--patient-name", required=True)
    arguments.add_argument("--container-identifier", required=True)
    asked = arguments.parse_args()
    try:
        convert(asked)
    except Exception as error:
        missing = "turbojpeg" in str(error).lower() or "turbojpeg" in type(error).__module__.lower()
        return NO_TURBOJPEG if missing else CANNOT_READ
    return 0


def convert(asked: argparse.Namespace) -> None:
    """Write the slide's levels, label and overview as VL Whole Slide Microscopy instances."""
    from pydicom import Dataset
    from wsidicomizer import WsiDicomizer

    stand_in = Dataset()
    stand_in.PatientID = asked.patient_id
    stand_in.PatientName = asked.patient_name
    stand_in.ContainerIdentifier = asked.container_identifier
    WsiDicomizer.convert(asked.source, asked.target, metadata_post_processor=stand_in, workers=2)


if __name__ == "__main__":
    sys.exit(main())
