"""Finding slides by their container identifier, at the node's socket."""

import json
from pathlib import Path

import pytest

from appliance.control import Operator
from appliance.errors import ForbiddenAction
from appliance.line import Role
from dicom_node import node as node_module
from dicom_node.send.sender import outgoing, send
from tests.dicom_node.conftest import Hospital
from tests.dicom_node.objects import Image, write

TECHNICIAN = Operator(name="sam", role=Role.TECHNICIAN)


def test_a_container_identifier_finds_its_slide_and_only_in_full(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    send([outgoing(write(one, tmp_path)) for one in slide_images], hospital.endpoint)
    hospital.settle()
    find = node_module.commands(hospital.node)["find"]
    name = slide_images[0].container
    assert find.role is Role.TECHNICIAN
    found = find.run(TECHNICIAN, {"container_identifier": f" {name} "})
    assert found == {"slide_ids": [hospital.slide().slide_id]}
    assert find.run(TECHNICIAN, {"container_identifier": name[:-1]}) == {"slide_ids": []}
    for nothing in ("", "  ", None, 7, "x" * 65):
        with pytest.raises(ForbiddenAction, match="type it in full"):
            find.run(TECHNICIAN, {"container_identifier": nothing})
    said = [one for one in hospital.journal.board.events() if one.kind == "find"]
    assert [one.actor for one in said] == ["sam", "sam"]
    assert name not in json.dumps([one.text for one in said])
    assert find.refused is not None
    find.refused(Operator(name="anyone", role=None))
    assert hospital.journal.board.events()[-1].text.startswith("Was refused")
