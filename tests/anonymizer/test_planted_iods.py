"""Nothing identifying survives in objects of any kind, wherever it was planted."""

import os

import pytest

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.part10.elements import encode
from anonymizer.profile.iod import iod_of, sop_classes
from anonymizer.pseudonyms import Pseudonyms, Subject
from anonymizer.rewrite.apply import Replacements, apply, specimens_of
from anonymizer.rewrite.marks import marked
from anonymizer.rewrite.plan import plan
from tests.anonymizer.planted import Canaries
from tests.anonymizer.planted_iods import planted_object, write_object

METHOD = Method(pseudonyms=Pseudonyms(bytes(range(32))))
_LEFT_OUT = (0x00400560, 0x52009230)  # specimens need a subject; groups as shared ones
PATHOLOGY = {
    "segmentation": "1.2.840.10008.5.1.4.1.1.66.4",
    "label map": "1.2.840.10008.5.1.4.1.1.66.7",
    "basic text SR": "1.2.840.10008.5.1.4.1.1.88.11",
    "comprehensive SR": "1.2.840.10008.5.1.4.1.1.88.33",
    "comprehensive 3D SR": "1.2.840.10008.5.1.4.1.1.88.34",
    "extensible SR": "1.2.840.10008.5.1.4.1.1.88.35",
    "key objects": "1.2.840.10008.5.1.4.1.1.88.59",
    "annotations": "1.2.840.10008.5.1.4.1.1.91.1",
    "parametric map": "1.2.840.10008.5.1.4.1.1.30",
    "microscopic image": "1.2.840.10008.5.1.4.1.1.77.1.2",
    "slide-coordinates image": "1.2.840.10008.5.1.4.1.1.77.1.3",
    "secondary capture": "1.2.840.10008.5.1.4.1.1.7",
    "color presentation state": "1.2.840.10008.5.1.4.1.1.11.2",
    "advanced blending": "1.2.840.10008.5.1.4.1.1.11.8",
}


@pytest.mark.parametrize("name", PATHOLOGY)
def test_nothing_that_was_planted_in_an_object_is_left_in_what_is_written(tmp_path, name):
    canaries = Canaries()
    source = write_object(tmp_path / "in.dcm", planted_object(PATHOLOGY[name], canaries), canaries)
    output = tmp_path / "out"
    output.mkdir()
    deidentify_slide([source], output, METHOD)
    [made] = output.iterdir()
    assert canaries.words > 100
    assert canaries.words_in(source)
    assert canaries.left_in(made.read_bytes()) == []


@pytest.mark.slow
def test_the_rules_leave_nothing_in_an_object_of_any_kind_that_there_is():
    """Every ninth kind; COVERSLIP_LONG=1 does all."""
    subject = Subject(
        patient_id="A",
        accession_number="B",
        container_identifier="C",
        specimen_identifiers=(),
        shift_weeks=100,
        study_instance_uid="2.25.1",
    )
    left = {}
    every = 1 if os.environ.get("COVERSLIP_LONG") else 9
    for uid, name in list(sop_classes().items())[::every]:
        canaries = Canaries()
        elements = [one for one in planted_object(uid, canaries) if one.tag not in _LEFT_OUT]
        planned = plan(elements, iod_of(uid), METHOD.profile)
        replacements = Replacements(
            pseudonyms=METHOD.pseudonyms,
            subject=subject,
            specimens=specimens_of(planned, subject),
        )
        made = encode(marked(apply(planned, replacements), METHOD.profile))
        found = canaries.left_in(made)
        if found:
            left[name] = found
    assert left == {}
