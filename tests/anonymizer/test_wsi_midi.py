import shutil

import pydicom
import pytest

from benchmarks.deid_tools import Tool, ours
from benchmarks.deidentify import AIM_RETENTION, cases
from benchmarks.wsi_midi import REMOVAL, RETENTION, Score, check_case, check_patients


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two generated slides of one patient and one of another, with planted identities."""
    return cases(tmp_path_factory.mktemp("corpus"), 7, data=None, quick=False)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, corpus):
    """What ours makes of every slide in two runs, by the name of the slide."""
    folder = tmp_path_factory.mktemp("made")
    return {
        case.name: [
            ours().run([*case.volumes, *case.pictures], folder / case.name / run) for run in "12"
        ]
        for case in corpus
    }


def scored(tool, corpus, folder):
    score, ids = Score(), []
    for case in corpus:
        first, second = (
            tool.run([*case.volumes, *case.pictures], folder / case.name / run) for run in "12"
        )
        ids.append((case, check_case(score, case, first, second)))
    check_patients(score, ids)
    return score


def scored_when_spoiled(case, outputs, folder, spoil):
    """Score what ours made of a slide after something was done to its first image."""
    first, second = outputs[case.name]
    spoiled = folder / "spoiled.dcm"
    shutil.copy(first[case.volumes[0]], spoiled)
    spoil(spoiled)
    score = Score()
    check_case(score, case, dict(first) | {case.volumes[0]: spoiled}, second)
    return score


def test_ours_removes_everything_and_keeps_what_research_needs(corpus, outputs):
    score = Score()
    ids = [(case, check_case(score, case, *outputs[case.name])) for case in corpus]
    check_patients(score, ids)
    assert score.share(REMOVAL) == 1.0, score.examples
    assert score.share(RETENTION) > AIM_RETENTION, score.examples
    checked = {kind for kind in score.passed if score.passed[kind] > 0}
    assert checked >= {*REMOVAL, *RETENTION} - {"types_conformant"}
    assert sum(score.passed.values()) > 2000


def test_a_tool_that_does_nothing_fails_every_kind_of_removal(corpus, tmp_path):
    nothing = Tool("nothing", lambda files, _target: {file: file for file in files})
    score = scored(nothing, corpus[:1], tmp_path)
    assert score.share(REMOVAL) < 0.05
    for kind in REMOVAL:
        assert score.failed[kind] > 0, kind
    assert score.failed["markers_written"] > 0
    assert score.share(("text_retained", "tag_retained", "pixels_retained")) == 1.0


def test_a_tool_that_lets_nothing_pass_fails_every_kind_of_retention(corpus, tmp_path):
    nothing = Tool("all gone", lambda files, _target: dict.fromkeys(files))
    score = scored(nothing, corpus, tmp_path)
    assert score.share(REMOVAL) == 1.0
    for kind in RETENTION:
        assert score.passed[kind] == 0, kind


def in_preamble(path, word):
    content = path.read_bytes()
    path.write_bytes(word + content[len(word) :])


def in_private_tag(path, word):
    data_set = pydicom.dcmread(path)
    data_set.private_block(0x0009, "SCANNER", create=True).add_new(1, "LO", word.decode())
    data_set.save_as(path)


@pytest.mark.parametrize(
    ("kind", "put"), [("preamble_replaced", in_preamble), ("private_removed", in_private_tag)]
)
def test_one_slip_of_a_broken_pipeline_is_seen(corpus, outputs, tmp_path, kind, put):
    case = corpus[0]
    word = case.canaries[0].value.encode()
    score = scored_when_spoiled(case, outputs, tmp_path, lambda path: put(path, word))
    assert score.failed[kind] == 1
    assert score.failed["identifier_sweep"] == 1
    assert score.share(REMOVAL) < 1.0


def test_a_name_that_is_put_back_and_changed_pixels_are_seen(corpus, outputs, tmp_path):
    case = corpus[0]

    def spoil(path):
        data_set = pydicom.dcmread(path)
        data_set.PatientName = pydicom.dcmread(case.volumes[0]).PatientName
        middle = len(data_set.PixelData) // 2
        data_set.PixelData = (
            data_set.PixelData[:middle] + b"\x55" * 4000 + data_set.PixelData[middle + 4000 :]
        )
        data_set["PixelData"].is_undefined_length = True
        data_set.save_as(path)

    score = scored_when_spoiled(case, outputs, tmp_path, spoil)
    assert score.failed["text_removed"] == 1
    assert score.failed["identifier_sweep"] == 1
    assert score.failed["pixels_retained"] == 1


def test_a_level_that_is_lost_is_seen(corpus, outputs):
    case = corpus[0]
    first, second = outputs[case.name]
    score = Score()
    check_case(score, case, dict(first) | {case.volumes[1]: None}, second)
    assert score.failed["tag_retained"] > 10
    assert score.failed["pixels_retained"] == 1
    assert score.failed["stable_across_instances"] > 0
    assert score.share(REMOVAL) == 1.0
