"""A generated slide with a word in every place, and the line that it walks in one process."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pydicom
from pydicom.encaps import generate_frames

from anonymizer.deidentify.method import Method
from anonymizer.deidentify.stage import handler
from anonymizer.keys.files import read_seal_pub
from anonymizer.part10.elements import Element, encode
from anonymizer.part10.reading import read_header
from anonymizer.profile.iod import Shape, whole_slide_image
from anonymizer.release.opened import SEALED
from appliance.line import Outcome, Stage
from appliance.sealing import seal
from appliance.settings import VerdictRules
from appliance.slides.identity import identity_of
from appliance.storage import publish, start_publication
from appliance.worker import Handler, Work, Worker
from dicom_node.headers import read_datasets
from inference.running.predict import Predictor
from inference.stage import infer_handler, report_handler
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries
from tests.anonymizer.release_line import Line

_PLANTED = planted.TEXTS | {"DA", "DT", "UI", "OB", "SQ"}
_CHANGES_THE_IMAGE = {
    0x00209161,  # Concatenation UID: the image would be a part of something
    0x00200242,
    0x00480010,  # Specimen Label in Image, and what else says what is on the image
    0x00280301,
    0x00080005,
    0x00081140,
    0x52009229,
    0x52009230,
}


def plant_into(path: Path, canaries: Canaries) -> None:
    """Put a word into every attribute that an instance lacks, its frames, and all around them."""
    header = read_header(path)
    frames = list(generate_frames(pydicom.dcmread(path).PixelData))
    shape = whole_slide_image()
    elements = planted.with_values(
        [*header.elements],
        *_lacking(header.elements, shape, canaries, step=1000),
        *planted.strangers(canaries),
    )
    noted = [planted.noted(frame.rstrip(b"\0"), canaries) for frame in frames]
    path.write_bytes(
        planted.content(
            encode(one for one in elements if one.tag not in planted.NEVER),
            planted.encapsulated(noted),
            uid=header.value(0x00080018),
            canaries=canaries,
            syntax=header.transfer_syntax_uid.encode(),
        )
    )


def _lacking(
    elements: tuple[Element, ...], shape: Shape, canaries: Canaries, step: int = 0
) -> Iterator[Element]:
    """Give what is not there; with a step every image gets the same, for it is of one patient."""
    have = {one.tag: one for one in elements}
    for number, (tag, attribute) in enumerate(shape.attributes.items()):
        if step:
            canaries.words = canaries.uids = step * number
        if attribute.vr not in _PLANTED or tag in _CHANGES_THE_IMAGE | planted.NEVER:
            continue
        known = have.get(tag)
        if known is None:
            yield planted.element(tag, attribute, canaries)
        elif known.items and attribute.items is not None and not attribute.items.is_code:
            inner = attribute.items
            yield Element(
                tag,
                "SQ",
                items=tuple(
                    tuple(planted.with_values([*item], *_lacking(item, inner, canaries)))
                    for item in known.items
                ),
            )


def handlers(line: Line, source: Path, predictor: Predictor) -> dict[Stage, Handler]:
    """Give the real handlers of all stages; assemble only links what the node would have."""

    def assemble(work: Work) -> Outcome:
        paths = sorted(source.glob("*.dcm"))
        for path in paths:
            shutil.copy2(path, work.output)
        headers = read_datasets(paths)
        base = max(headers, key=lambda one: int(one.get("TotalPixelMatrixColumns", 0)))
        content = identity_of(base, headers).to_bytes()
        part = start_publication(line.root.zone("sealed"), work.claim.folder)
        sealed = seal(read_seal_pub(line.keys_folder), content, work.claim.slide_id)
        (part / SEALED).write_bytes(sealed)
        publish(part)
        return Outcome()

    rules = VerdictRules()
    return {
        Stage.ASSEMBLE: assemble,
        Stage.DEIDENTIFY: handler(Method(pseudonyms=line.keys.pseudonyms)),
        Stage.INFER: infer_handler(predictor, rules),
        Stage.REPORT: report_handler(),
        Stage.RELEASE: line.release(),
    }


def walk(line: Line, source: Path, predictor: Predictor, slide_id: str) -> None:
    """Walk a slide from assemble to release."""
    line.journal.add_slide(slide_id, scanner="scanner-1", last_byte_at=1.0)
    line.journal.complete(slide_id, actor="node", reason="all there")
    for stage, handle in handlers(line, source, predictor).items():
        worker = Worker(journal=line.journal, root=line.root, stage=stage, handle=handle)
        assert worker.step()
        status = line.status(slide_id)
        assert status.error is None, f"{stage}: {status.error}"


KEPT_FOR_RESEARCH = frozenset(
    (
        *("Rows", "Columns", "NumberOfFrames", "TotalPixelMatrixRows", "TotalPixelMatrixColumns"),
        *("ImagedVolumeWidth", "ImagedVolumeHeight", "ImagedVolumeDepth", "PixelSpacing"),
        *("SliceThickness", "ImageType", "FrameType", "DimensionOrganizationType", "Modality"),
        *("PhotometricInterpretation", "SamplesPerPixel", "BitsAllocated", "BitsStored"),
        *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
        *("ObjectiveLensPower", "ObjectiveLensNumericalAperture", "IlluminationWaveLength"),
        *("NumberOfOpticalPaths", "TotalPixelMatrixFocalPlanes", "FocusMethod", "SOPClassUID"),
        *("ExtendedDepthOfField", "SpecimenLabelInImage", "VolumetricProperties"),
        *("XOffsetInSlideCoordinateSystem", "YOffsetInSlideCoordinateSystem"),
        *("ImageOrientationSlide", "Manufacturer", "ManufacturerModelName", "SoftwareVersions"),
        *("CodeValue", "CodingSchemeDesignator", "AcquisitionDuration", "OpticalPathIdentifier"),
    )
)


NOT_FOR_RESEARCH = frozenset(("111702", "111703", "111705", "111707", "119376003"))
"""When a specimen was prepared, by whose words, and from which other specimen it came."""


def research(path: Path) -> Counter[tuple[str, str]]:
    """What research needs of an instance: keyword and value, however deep."""
    header = pydicom.dcmread(path, stop_before_pixels=True)
    return Counter(
        (element.keyword, str(element.value))
        for element in header.iterall()
        if element.keyword in KEPT_FOR_RESEARCH
        and not element.is_empty
        and str(element.value) not in NOT_FOR_RESEARCH
    )
