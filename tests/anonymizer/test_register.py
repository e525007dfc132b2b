"""The register of the standard's duties is complete, and every test that it names exists."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest
from pydicom.datadict import tag_for_keyword

from anonymizer.part10.elements import Element
from anonymizer.profile.decide import profile_of
from anonymizer.profile.iod import whole_slide_image
from anonymizer.profile.options import OPTIONS, TEMPORAL
from anonymizer.rewrite.plan import plan, walk
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deidentification.md").read_text(encoding="utf-8")
DUTIES = json.loads(Path(__file__).with_name("duties.json").read_text(encoding="utf-8"))
ROW = re.compile(r"\| (E\.[\d.]+-\d\d) \| ([^|]+) \| ([^|]*) \| ([^|]+) \| ([^|]+) \|")
ROWS = ROW.findall(PAGE)


def existing_tests():
    """Every test function of the package's tests, as file::name."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.name}::{node.name}"


def statement():
    start = PAGE.index("## Conformance statement")
    return PAGE[start : PAGE.index("## Register of duties")]


def test_the_register_has_every_duty_once_and_no_other():
    assert {row[0]: row[1] for row in ROWS} == DUTIES["duties"]
    assert len(ROWS) == len(DUTIES["duties"]) > 40


def test_every_duty_has_a_status_and_says_how_it_is_met():
    for number, duty, status, how, _ in ROWS:
        assert status in DUTIES["statuses"], number
        assert len(duty) > 10, number
        assert len(how) > 3, number


def test_every_test_that_the_register_names_exists():
    known = set(existing_tests())
    for number, *_, shown in ROWS:
        named = re.findall(r"`([^`]+)`", shown)
        assert named, number
        assert not [test for test in named if test not in known], number


def test_the_options_of_the_page_are_those_of_the_code():
    table = PAGE[PAGE.index("### Options") : PAGE.index("### Rules of the site")]
    listed = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", table, flags=re.MULTILINE))
    assert listed == {name: code or "none" for name, code in OPTIONS.items()}
    assert set(TEMPORAL) <= set(listed)


def test_an_option_that_the_register_refuses_is_refused_by_name():
    refused = [row for row in ROWS if row[2] == "refused by name"]
    assert refused
    assert "clean_recognizable_visual_features" not in OPTIONS
    assert all("test_what_cannot_be_had_is_refused_by_name" in row[4] for row in refused)


@pytest.mark.parametrize(
    "asked",
    [
        "**Removed**", "**Replaced**", "**Encrypted Attributes**", "**Referential integrity**",
        "**Inserted**", "**Transfer syntaxes of Encrypted Attributes**", "**Options**",
        "**Restrictions**", "How descriptors are cleaned (E.3.5)",
        "How dates are modified (E.3.6)", "characteristics are cleaned (E.3.7)",
        "Safe private attributes that are retained",
    ],
)  # fmt: skip
def test_the_statement_describes_what_the_standard_asks_for(asked):
    after = statement().split(asked, 1)[1]
    assert len(after.split("\n* **", 1)[0]) > 15


def test_the_list_of_attributes_is_what_the_code_does():
    path = ROOT / "docs" / "deid_attributes.py"
    spec = importlib.util.spec_from_file_location("deid_attributes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = module.FILE.read_text(encoding="utf-8")
    assert written == module.table(), "python docs/deid_attributes.py"
    assert written.count("\n| ") > 657


@pytest.mark.parametrize("options", [(), tuple(set(OPTIONS) - set(TEMPORAL))])
def test_no_encrypted_attributes_are_ever_written(options):
    tags = {tag_for_keyword("EncryptedAttributesSequence"), tag_for_keyword("EncryptedContent")}
    hidden = Element(min(tags), "SQ", items=((Element(max(tags), "OB", b"hidden"),),))
    elements = planted.with_values(planted.volume(Canaries()), hidden)
    planned = plan(elements, whole_slide_image(), profile_of(options))
    met = [one for one in walk(planned) if one.element.tag in tags]
    assert met
    assert {str(one.decision.action) for one in met} == {"remove"}


def test_every_page_that_the_documents_name_is_there():
    for name in re.findall(r"\]\(([\w.-]+)\)", PAGE):
        assert (ROOT / "docs" / name).is_file(), name
