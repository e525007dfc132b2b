"""A slide with a word in every place walks the whole line: no word is in anything written on it."""

import logging
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.line import Stage, State
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from inference.model import bundle
from inference.running.predict import Predictor
from tests.anonymizer.planted import Canaries
from tests.anonymizer.planted_line import plant_into, research, walk
from tests.anonymizer.release_line import Line, outside_sr_route, tiles_route

SLIDE_ID = "abcdefghijklmnopqrstuvwx33"
SCANNED_AT_S = 1_111_222_333
WITHOUT_IDENTITY = ("deid", "findings", "report", "outbox", "journal", "vault", "sealed")


@dataclass(frozen=True)
class Walked:
    """One walk, and what it may have left behind."""

    line: Line
    canaries: Canaries
    identity: SlideIdentity
    before: Counter
    said: str

    def originals(self) -> list[Path]:
        return list(self.line.root.zone("original").rglob("*.dcm"))

    def files(self) -> list[Path]:
        return [
            path
            for zone in WITHOUT_IDENTITY
            for path in (self.line.root.zone(zone), *self.line.root.zone(zone).rglob("*"))
        ]


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("line")
    canaries, identity = Canaries(seed=77), SlideIdentity.canary("QYBRXK")
    source = folder / f"{canaries.prefix}SCAN"
    write_slide(source, SlidePlan.small(seed=3, kinds=()), identity)
    before: Counter = Counter()
    for number, path in enumerate(sorted(source.glob("*.dcm"))):
        if path.name.startswith("volume"):
            before += research(path)
        plant_into(path, canaries)
        named = path.rename(path.with_name(f"{canaries.prefix}{number}.dcm"))
        os.utime(named, (SCANNED_AT_S, SCANNED_AT_S))
    said = _Said()
    logging.getLogger().addHandler(said)
    line = Line(folder / "site", [tiles_route(tiles_per_shard=4), outside_sr_route()])
    predictor = Predictor(bundle.bundled(), device="cpu", workers=2)
    try:
        walk(line, source, predictor, SLIDE_ID)
        yield Walked(line, canaries, identity, before, said.text)
    finally:
        logging.getLogger().removeHandler(said)
        predictor.close()
        line.close()


class _Said(logging.Handler):
    """Keeps all that is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + str(record.exc_info or "") + "\n"


def test_no_word_is_in_anything_that_a_stage_wrote(walked):
    needles = [needle.upper().encode() for needle in walked.identity.needles]
    files = walked.files()
    assert len(files) > 20
    for path in files:
        status = path.stat()
        assert SCANNED_AT_S not in (int(status.st_mtime), int(status.st_atime))
        content = str(path.relative_to(walked.line.path)).encode()
        if path.is_file():
            content += path.read_bytes()
        assert walked.canaries.left_in(content) == [], path.name
        upper = content.upper()
        assert not [needle for needle in needles if needle in upper], path.name


def test_no_word_is_in_what_was_logged_or_told_of_the_slide(walked):
    told = walked.said + repr(walked.line.status(SLIDE_ID))
    assert SLIDE_ID in told
    assert walked.canaries.left_in(told.encode()) == []


def test_the_words_are_where_a_search_finds_them(walked):
    assert len(walked.originals()) > 3
    for path in walked.originals():
        assert {"a word", "a UID"} <= set(walked.canaries.left_in(path.read_bytes()))


def test_the_slide_came_through_and_something_left_the_hospital(walked):
    assert walked.line.status(SLIDE_ID).stage is Stage.DELIVER or (
        walked.line.status(SLIDE_ID).state is State.DONE
    )
    assert walked.line.parcels("registry")


def test_research_keeps_what_it_needs(walked, capsys):
    after: Counter = Counter()
    for path in walked.line.root.zone("deid").rglob("*.dcm"):
        after += research(path)
    kept = walked.before & after
    words = {word for path in walked.originals() for word in walked.canaries.words_in(path)}
    share = kept.total() / walked.before.total()
    with capsys.disabled():
        sys.stdout.write(
            f"\n  planted words: {len(words)}, left: 0;"
            f" kept for research: {share:.0%} of {walked.before.total()} values\n"
        )
    assert len(words) > 4000
    assert walked.before - after == Counter()
    assert walked.before.total() > 150
