"""Bad input on purpose: what the line must refuse with one clear sentence and without loss."""

import shutil
from pathlib import Path

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from appliance.synthetic.dicom import write_slide
from appliance.synthetic.headers import IMPLEMENTATION_CLASS_UID
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.truth import PlantedTruth
from appliance.synthetic.uids import seeded_uid

_CT_PX = 16


def truncated(source: Path, target: Path, share: float = 0.6) -> Path:
    """Copy the first part of a file, as a broken transfer leaves it."""
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


def ct_image(target: Path, identity: SlideIdentity) -> Path:
    """Write a small CT Image, which no slide scanner sends."""
    uid = seeded_uid("ct", identity.study_instance_uid)
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = uid
    image.StudyInstanceUID = identity.study_instance_uid
    image.SeriesInstanceUID = seeded_uid("ct series", identity.study_instance_uid)
    image.PatientName = identity.patient_name
    image.PatientID = identity.patient_id
    image.Modality = "CT"
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows = image.Columns = _CT_PX
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 1
    image.PixelData = np.zeros((_CT_PX, _CT_PX), "<i2").tobytes()
    dcmwrite(target, image, enforce_file_format=True)
    return target


def slide_without_tissue(folder: Path, identity: SlideIdentity, seed: int = 1) -> PlantedTruth:
    """Write a slide with bare glass only."""
    return write_slide(folder, SlidePlan.bare(seed), identity)


def with_corrupt_frame(source: Path, target: Path, frame: int) -> Path:
    """Copy an instance with the entropy-coded data of one frame overwritten by noise.

    `frame` counts from zero; lengths, offsets and all other frames stay as they are.
    """
    content = bytearray(source.read_bytes())
    instance = dcmread(source)
    frames = generate_frames(instance.PixelData, number_of_frames=int(instance.NumberOfFrames))
    codestream = next(each for number, each in enumerate(frames) if number == frame)
    at = _nth(bytes(content), codestream, frame, instance)
    noise = np.random.default_rng(frame).integers(0, 255, len(codestream) - 4, np.uint8)
    content[at + 2 : at + len(codestream) - 2] = noise.tobytes()
    target.write_bytes(content)
    return target


def _nth(content: bytes, codestream: bytes, frame: int, instance: Dataset) -> int:
    """Return where frame number `frame` begins; equal frames (glass) are told apart by order."""
    frames = generate_frames(instance.PixelData, number_of_frames=int(instance.NumberOfFrames))
    before = [each for number, each in enumerate(frames) if number < frame]
    at = content.index(b"\xe0\x7f\x10\x00OB")
    for _ in range(before.count(codestream) + 1):
        at = content.index(codestream, at + 1)
    return at


def without_pixel_spacing(source: Path, target: Path) -> Path:
    """Copy an instance without any statement of its pixels' size."""
    instance = dcmread(source)
    for shared in instance.SharedFunctionalGroupsSequence:
        del shared.PixelMeasuresSequence
    for keyword in ("ImagedVolumeWidth", "ImagedVolumeHeight"):
        delattr(instance, keyword)
    dcmwrite(target, instance, enforce_file_format=True)
    return target


def slide_without_pixel_spacing(source: Path, folder: Path) -> Path:
    """Copy a slide's folder with no pixel size in any instance."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.dcm")):
        without_pixel_spacing(path, folder / path.name)
    return folder


def slide_with_corrupt_frame(source: Path, folder: Path, frame: int) -> Path:
    """Copy a slide's folder with one corrupt frame in the base level."""
    shutil.copytree(source, folder)
    with_corrupt_frame(source / "volume-0.dcm", folder / "volume-0.dcm", frame)
    return folder
