import html.parser
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.document import ReportDocument
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.page import page
from anonymizer.deidentify.report import kind_of, write_report, write_reports
from anonymizer.profile.action import Action
from anonymizer.profile.decide import profile_of
from anonymizer.profile.site_rules import read_site_rules
from anonymizer.pseudonyms import Pseudonyms
from tests.anonymizer import planted
from tests.anonymizer.planted import UID_ROOT, WORD, Canaries

ROOT = Path(__file__).parents[2]
RULES = """
[[rule]]
attribute = "PatientSex"
action = "keep"
why = "The study compares <b>"
option = "keep_sex"
signed_by = "Dr. A & B"
"""


@pytest.fixture(scope="module")
def canaries():
    return Canaries()


@pytest.fixture(scope="module")
def report(tmp_path_factory, canaries):
    """Report of a planted slide, with a rule of the site."""
    folder = tmp_path_factory.mktemp("reported")
    files = planted.planted_slide(folder / "in", canaries)
    (folder / "rules.toml").write_text(RULES)
    (folder / "out").mkdir()
    profile = profile_of((), read_site_rules(folder / "rules.toml"))
    method = Method(profile=profile, pseudonyms=Pseudonyms(bytes(range(32))))
    return deidentify_slide(files, folder / "out", method)


class Reader(html.parser.HTMLParser):
    """Collects what stands on a page, and complains about tags that do not close."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in ("meta", "wbr", "br"):
            self.open.append(tag)
        assert not [value for name, value in attrs if name in ("src", "onclick", "onload")]
        links = [value for name, value in attrs if name == "href"]
        assert all(link.startswith("#") for link in links)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_the_schema_in_the_docs_is_that_of_the_reports():
    spec = importlib.util.spec_from_file_location("schema", ROOT / "docs" / "report_schema.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert json.loads(module.FILE.read_text()) == module.schema(), "python docs/report_schema.py"


def test_a_report_has_the_form_of_its_schema_and_nothing_more(report):
    written = json.loads(json.dumps(report.to_json()))
    adapter = TypeAdapter(ReportDocument)
    assert json.loads(json.dumps(asdict(adapter.validate_python(written)))) == written
    with pytest.raises(ValidationError):
        adapter.validate_python(written | {"too_short": "many"})
    with pytest.raises(ValidationError):
        adapter.validate_python({name: one for name, one in written.items() if name != "key_id"})


def test_a_report_holds_no_value_in_either_form(report, tmp_path, canaries):
    write_reports(tmp_path, {"PSEUDONYM": report})
    assert {path.name for path in tmp_path.iterdir()} == {"PSEUDONYM.json", "PSEUDONYM.html"}
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert WORD not in text.upper()
        assert UID_ROOT not in text
        assert not [day for day in canaries.days if day in text]
    assert canaries.words > 3000


def test_the_page_is_whole_and_loads_and_runs_nothing(report):
    reader = read(page({"PSEUDONYM": report.to_json()}))
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "form", "input"}
    assert {"details", "summary", "style", "table"} <= reader.tags


def test_the_page_says_what_a_data_protection_officer_asks_for(report):
    words = " ".join(read(page({"PSEUDONYM": report.to_json()})).text)
    for asked in (
        "113100 Basic Application Confidentiality Profile",
        "113107 Retain Longitudinal Temporal Information Modified Dates Option",
        report.key_id,
        "left out: its image type is not VOLUME",
        "none found",
        "Removed or emptied",
        "What this does not protect against",
        "PS3.15 E.3.9",
        "PatientName",
        "The study compares <b>",
        "keep_sex",
        "Dr. A & B",
    ):
        assert asked in words, asked


def test_the_counts_of_a_report_are_those_of_its_steps(report):
    content = report.to_json()
    steps = [step for image in content["images"] for step in image["steps"]]
    for kind, count in content["counts"]["attributes"].items():
        assert count == sum(step["count"] for step in steps if step["kind"] == kind)
        assert count > 0, kind
    assert content["counts"]["images_in"] == 3
    assert {step["kind"] for step in steps} == set(content["counts"]["attributes"])


def test_every_action_has_a_kind_and_words_of_its_own_on_the_page():
    from anonymizer.deidentify.page import _ACTIONS

    assert set(_ACTIONS) == {str(action) for action in Action}
    assert {kind_of(action) for action in Action} == {"kept", "cleaned", "replaced", "removed"}
    assert kind_of(Action.REMOVE) == "removed"
    assert kind_of(Action.KEEP) == "kept"
    assert kind_of(Action.UID) == "replaced"


def test_several_slides_are_one_page_with_a_list_or_one_file_of_json(report, tmp_path):
    reports = {"FIRST": report, "SECOND": report}
    write_reports(tmp_path / "all.html", reports)
    write_reports(tmp_path / "all.json", reports)
    words = " ".join(read((tmp_path / "all.html").read_text()).text)
    assert "2 slides" in words
    assert "FIRST" in words
    assert "SECOND" in words
    assert len(json.loads((tmp_path / "all.json").read_text())) == 2
    write_report(tmp_path / "one.json", [report])
    assert json.loads((tmp_path / "one.json").read_text())["form"].endswith("/1")
