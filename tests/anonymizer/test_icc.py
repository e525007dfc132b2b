"""Which ICC profiles leave: ours, and those that somebody has reviewed, and no others."""

import io
from hashlib import sha256

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms
from pydicom.uid import ExplicitVRLittleEndian

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.pixels.icc import is_reviewed, profile_out, srgb_profile
from anonymizer.profile.decide import Profile, profile_in
from anonymizer.pseudonyms import Pseudonyms
from appliance.settings import Deidentify
from tests.anonymizer.test_frames import SIDE_PX, header, write

LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
ODD = (len(LAB) - 1).to_bytes(4, "big") + LAB[4:-1]
"""DICOM pads it; the digest is that of the profile alone."""
PSEUDONYMS = Pseudonyms(bytes(range(32)))


def digest(profile):
    return f"sha256:{sha256(profile).hexdigest()}"


def optical_path(profile):
    item = pydicom.Dataset()
    item.OpticalPathIdentifier = "1"
    item.ICCProfile = profile
    item.ColorSpace = "SRGB"
    return item


def deidentified(tmp_path, profile, method_profile):
    made = header()
    made.OpticalPathSequence = [optical_path(profile)]
    made.PixelData = bytes(4 * SIDE_PX * SIDE_PX * 3)
    made["PixelData"].VR = "OB"
    (tmp_path / "out").mkdir()
    source = write(tmp_path / "in.dcm", made, ExplicitVRLittleEndian)
    deidentify_slide(
        [source], tmp_path / "out", Method(profile=method_profile, pseudonyms=PSEUDONYMS)
    )
    return pydicom.dcmread(tmp_path / "out" / "volume-00.dcm").OpticalPathSequence[0]


def test_our_profile_is_one_that_a_colour_engine_reads():
    opened = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    colours = np.random.default_rng(1).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    through = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    assert np.abs(through.astype(int) - colours).max() <= 2


@pytest.mark.parametrize("profile", [LAB, ODD])
def test_a_reviewed_profile_stays_byte_for_byte(tmp_path, profile):
    reviewed = Profile(reviewed_icc_profiles=(digest(b"other"), digest(profile)))
    kept = deidentified(tmp_path, profile, reviewed)
    assert kept.ICCProfile == profile + b"\0" * (len(profile) % 2)
    assert "ColorSpace" not in kept


@pytest.mark.parametrize("changed", [LAB[:-1] + b"!", LAB + b"Jane", LAB + b"\0\0"])
def test_any_other_profile_becomes_srgb(tmp_path, changed):
    reviewed = Profile(reviewed_icc_profiles=(digest(LAB),))
    assert deidentified(tmp_path, changed, reviewed).ICCProfile == srgb_profile()


def test_without_a_review_every_profile_becomes_srgb(tmp_path):
    replaced = deidentified(tmp_path, LAB, Profile())
    assert replaced.ICCProfile == srgb_profile()
    assert replaced.ColorSpace == "SRGB"


def test_the_settings_name_reviewed_profiles():
    section = Deidentify(reviewed_icc_profiles=(digest(LAB),), text_in_pixels="off")
    assert profile_in(section).reviewed_icc_profiles == (digest(LAB),)
    assert is_reviewed(LAB, digest(LAB))
    assert profile_out(LAB, digest(LAB)) == LAB
    assert profile_out(LAB, "") == srgb_profile()
