"""What others make from a slide that still carries its patient: SR, SEG and ANN of highdicom."""

from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom import Dataset, FileDataset
from pydicom.sr.codedict import codes

from tests.anonymizer.release_parts import report_of, save

POINTS = np.array([[10.0, 10.0], [20.0, 10.0], [20.0, 20.0]], dtype=np.float32)


def annotations_of(slide: FileDataset) -> Dataset:
    """Two groups of polygons with a measurement each."""
    groups = [
        hd.ann.AnnotationGroup(
            number=number,
            uid=f"1.2.826.0.1.9.{number}",
            label=f"nuclei marked by Dr. Wombat {number}",
            annotated_property_category=codes.SCT.AnatomicalStructure,
            annotated_property_type=codes.SCT.Nucleus,
            algorithm_type=hd.ann.AnnotationGroupGenerationTypeValues.MANUAL,
            graphic_type=hd.ann.GraphicTypeValues.POLYGON,
            graphic_data=[POINTS, POINTS + 30],
            measurements=[
                hd.ann.Measurements(
                    name=codes.SCT.Area,
                    values=np.array([1.5, 2.5]),
                    unit=codes.UCUM.SquareMicrometer,
                )
            ],
        )
        for number in (1, 2)
    ]
    return hd.ann.MicroscopyBulkSimpleAnnotations(
        source_images=[slide],
        annotation_coordinate_type=hd.ann.AnnotationCoordinateTypeValues.SCOORD,
        annotation_groups=groups,
        series_instance_uid="1.2.826.0.1.9.10",
        series_number=4,
        sop_instance_uid="1.2.826.0.1.9.11",
        instance_number=1,
        manufacturer="Wombat Works",
        manufacturer_model_name="Marker",
        software_versions="1.0",
        device_serial_number="W-4711",
        content_creator_name="Wombat^Will",
    )


def objects_of(slide: FileDataset) -> dict[str, Dataset]:
    """Everything that was made from a slide, by the name of its kind."""
    report, segmentation = report_of(slide)
    return {"sr": report, "seg": segmentation, "ann": annotations_of(slide)}


def save_all(slide: FileDataset, objects: dict[str, Dataset], folder: Path) -> list[Path]:
    """Write a slide and what was made from it."""
    paths = []
    for name, dataset in {"slide": slide, **objects}.items():
        paths.append(folder / f"{name}.dcm")
        save(dataset, paths[-1])
    return paths
