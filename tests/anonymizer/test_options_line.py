"""Slides go the whole way with each option: written, read again by the gate, and not refused."""

import re
from datetime import UTC, datetime

import pydicom
import pytest

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.profile.decide import profile_of
from anonymizer.profile.options import DEFAULT_OPTIONS, OPTIONS
from anonymizer.profile.site_rules import read_site_rules
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.release.belonging import inverse_of
from anonymizer.release.restore import restore
from appliance.errors import IdentityDoubt
from tests.anonymizer import planted
from tests.anonymizer.planted import UID_ROOT, WORD, Canaries
from tests.anonymizer.release_parts import (
    KEY,
    original_slide,
    pseudonymous,
    report_of,
    sealed_identity,
)
from tests.anonymizer.test_options import element, private, slide
from tests.anonymizer.test_site_rules import SAFE, STRONGER, WEAKER

PSEUDONYMS = Pseudonyms(bytes(range(32)))
FURTHER = sorted(OPTIONS.keys() - DEFAULT_OPTIONS)
ALONE = [one for one in FURTHER if not one.startswith("clean_")]


def run(folder, elements, profile, pseudonyms=PSEUDONYMS):
    source = planted.write(
        folder / "in.dcm", elements, [planted.jpeg(n) for n in range(4)], Canaries()
    )
    output = folder / "out"
    output.mkdir()
    report = deidentify_slide([source], output, Method(profile=profile, pseudonyms=pseudonyms))
    return pydicom.dcmread(output / "volume-00.dcm"), report


def kept_words(made):
    """Planted words in the object, by the keyword of the attribute that holds them."""
    return {
        one.keyword or str(one.tag)
        for one in made.iterall()
        if one.VR != "SQ" and re.search(f"{WORD}\\d", str(one.value))
    }


WORDS_KEPT = {
    "retain_device_identity": {"DeviceSerialNumber", "StationName", "GantryID"},
    "retain_institution_identity": {
        "ClinicalTrialCoordinatingCenterName",
        "ClinicalTrialProtocolEthicsCommitteeName",
        "ClinicalTrialSiteID",
        "ClinicalTrialSiteName",
        "InstitutionAddress",
        "InstitutionName",
        "InstitutionalDepartmentName",
    },
}


@pytest.mark.parametrize("option", ALONE)
def test_a_slide_with_something_everywhere_passes_the_gate_with_each_option(option, tmp_path):
    elements = slide()
    made, _ = run(tmp_path, elements, profile_of([option]))
    kept = kept_words(made)
    assert kept >= WORDS_KEPT.get(option, set())
    assert option.startswith("retain_") or not kept
    foreign = [one for one in made.iterall() if one.VR == "UI" and UID_ROOT in str(one.value)]
    assert bool(foreign) is (option in ("retain_uids", "retain_device_identity"))


def test_all_options_together_pass_the_gate(tmp_path):
    options = [one for one in FURTHER if one != "remove_dates"]
    made, _ = run(tmp_path, slide(*private()), profile_of(options))
    assert made.LongitudinalTemporalInformationModified == "UNMODIFIED"
    assert made[0x00191023].value == 1.5
    assert len(made.DeidentificationMethodCodeSequence) == len(options) + 3


def test_site_rules_pass_the_gate_and_are_in_the_report(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(STRONGER + WEAKER + SAFE)
    profile = profile_of(["retain_safe_private"], read_site_rules(path))
    elements = slide(*private(), element("StationName", b"SCAN ROOM 2"))
    made, report = run(tmp_path, elements, profile)
    assert made.StationName == "SCAN ROOM 2"
    assert made[0x00191123].value == 3.5
    assert made.DeidentificationMethodCodeSequence[-1].CodeValue == "compare_rooms"
    rules = {step.path: step.rule for step in report.images[0].steps}
    assert rules["StationName"] == "site rule, option compare_rooms"
    assert rules["Manufacturer"] == "site rule"
    told = report.to_json()
    assert told["site_rules"]["rules"][3]["option"] == "compare_rooms"
    assert told["site_rules"]["digest"] == profile.site_rules.digest
    assert told["site_rules"]["rules"][3]["signed_by"].startswith("Data protection officer")


def test_a_kept_text_that_also_stands_where_it_goes_does_not_stop_the_slide(tmp_path):
    elements = slide(
        element("InstitutionName", b"St Elsewhere Hospital"),
        element("StudyDescription", b"Biopsy, St Elsewhere Hospital"),
    )
    made, _ = run(tmp_path, elements, profile_of(["retain_institution_identity"]))
    assert made.InstitutionName == "St Elsewhere Hospital"
    assert "StudyDescription" not in made


def test_release_restores_a_slide_whose_uids_were_retained_and_doubts_any_other():
    original = original_slide()
    keeping = Pseudonyms(KEY).keeping_uids()
    products = report_of(pseudonymous(original, keeping))
    own = frozenset(str(product.SOPInstanceUID) for product in products)
    inverse = inverse_of(sealed_identity(original), keeping)
    now = datetime(2024, 5, 6, 10, 11, 12, tzinfo=UTC)
    for product in products:
        assert product.StudyInstanceUID == original.StudyInstanceUID
        assert product.PatientID != original.PatientID
        restored = restore(product, inverse, reported_at=now, own=own)
        assert restored.PatientID == original.PatientID
        assert restored.StudyInstanceUID == original.StudyInstanceUID
        mapping = inverse_of(sealed_identity(original), Pseudonyms(KEY))
        with pytest.raises(IdentityDoubt, match="StudyInstanceUID differs"):
            restore(product, mapping, reported_at=now, own=own)
