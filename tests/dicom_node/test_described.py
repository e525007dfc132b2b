"""What the node tells the screen of the objects of a slide."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset

from appliance.control import Operator
from appliance.errors import ForbiddenAction
from appliance.line import Role
from dicom_node import node as node_module
from dicom_node.send.sender import outgoing, send
from dicom_node.slides.described import encoding, um_px
from tests.dicom_node.conftest import Hospital
from tests.dicom_node.objects import Image, write

VIEWER = Operator(name="anyone", role=Role.VIEWER)


def described(hospital: Hospital, slide_id: str) -> dict:
    command = node_module.commands(hospital.node)["describe_slide"]
    assert command.role is Role.VIEWER
    return command.run(VIEWER, {"slide_id": slide_id})


def test_levels_are_told_finest_first_then_the_other_images_and_no_one_is_named(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    named = replace(slide_images[3], flavour="Canary^Flavour")
    images = [*slide_images[:3], named]
    send([outgoing(write(one, tmp_path)) for one in reversed(images)], hospital.endpoint)
    hospital.settle()
    told = described(hospital, hospital.slide().slide_id)
    assert [(one["flavour"], one["rows"], one["columns"]) for one in told["images"]] == [
        ("VOLUME", 32, 48),
        ("VOLUME", 16, 24),
        ("LABEL", 8, 8),
        ("OTHER", 8, 8),
    ]
    assert told["images"][0]["encoding"] == "JPEG Baseline (Process 1)"
    assert [one["frames"] for one in told["images"]] == [24, 6, 1, 1]
    assert (told["objects"], told["dismissed"], told["purged"], told["archived"]) == (4, 0, 0, 0)
    assert told["bytes"] == sum(one["bytes"] for one in told["images"]) > 0
    said = json.dumps(told)
    assert "Canary" not in said
    assert not [one for one in images if one.uid in said or one.study in said]
    assert images[0].container not in said


def test_a_slide_that_nobody_sent_is_refused(hospital: Hospital) -> None:
    with pytest.raises(ForbiddenAction, match="no slide of this id"):
        described(hospital, "nothing")


def test_the_spacing_is_told_where_all_frames_share_it() -> None:
    measures, groups, header = Dataset(), Dataset(), Dataset()
    assert um_px(header) is None
    measures.PixelSpacing = [0.00025, 0.00026]
    groups.PixelMeasuresSequence = [measures]
    header.SharedFunctionalGroupsSequence = [groups]
    assert um_px(header) == pytest.approx(0.255)


def test_an_encoding_is_told_by_the_words_of_the_standard_only() -> None:
    assert encoding("1.2.840.10008.1.2.4.90") == "JPEG 2000 Image Compression (Lossless Only)"
    assert encoding("1.3.6.1.4.1.99999.1.2") == "OTHER"
