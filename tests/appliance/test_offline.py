"""A folder is sorted into slides, and what came of each is there whole or not at all."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from appliance.errors import ConfigError, UnsuitableSlide
from appliance.offline.method import Method, method_of, settings_text
from appliance.offline.private_folder import private_folder
from appliance.offline.results import Result, Results, json_of, lines_of
from appliance.offline.sources import find_slides, name_of
from appliance.settings import Deidentify, Inference, Report, VerdictRules, load
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan

CANARY = "ZANZIBAR"


@pytest.fixture(scope="module")
def bare_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    write_slide(folder, SlidePlan.bare(), SlideIdentity.canary(CANARY))
    return folder


def other_container(folder: Path, target: Path) -> Path:
    """Copy a slide as that of another container."""
    shutil.copytree(folder, target)
    for file in target.glob("*.dcm"):
        header = pydicom.dcmread(file)
        header.ContainerIdentifier = "ANOTHER"
        header.save_as(file)
    return target


def method(**changes: object) -> Method:
    values: dict[str, object] = {
        "deidentify": Deidentify(),
        "inference": Inference(),
        "verdict": VerdictRules(),
        "report": Report(),
        "keys": None,
        "restore": False,
    }
    return Method(**{**values, **changes})  # type: ignore[arg-type]


def test_files_of_one_container_are_one_slide_wherever_they_lie(
    bare_slide: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    first = Path(shutil.copytree(bare_slide, source / "a"))
    (source / "z").mkdir()
    (first / "volume-1.dcm").rename(source / "z" / "far.dcm")
    other_container(bare_slide, source / "b")
    (source / "slide.svs").write_bytes(b"II*\0 no DICOM")
    (source / "notes.txt").write_text("no slide")
    (source / "torn.dcm").write_bytes(bytes(128) + b"DICM torn")
    found = find_slides(source)
    assert [slide.vendor for slide in found.slides] == [False, False, True]
    assert {file.name for file in found.slides[0].files} >= {"volume-0.dcm", "far.dcm"}
    assert len(found.slides[0].files) == len(found.slides[1].files)
    assert (len(found.damaged), found.others) == (1, 1)


def test_what_names_no_container_goes_with_the_only_one_of_its_study(
    bare_slide: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(bare_slide, tmp_path / "source"))
    header = pydicom.dcmread(source / "volume-1.dcm")
    del header.ContainerIdentifier
    header.save_as(source / "volume-1.dcm")
    (slide,) = find_slides(source).slides
    assert len(slide.files) == len(list(source.glob("*.dcm")))


def test_a_slide_is_known_by_its_content_alone(bare_slide: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(bare_slide, source)
    (source / "volume-0.dcm").rename(source / "renamed.dcm")
    (here,), (there,) = find_slides(bare_slide).slides, find_slides(source).slides
    assert here.digest() == there.digest()
    with (source / "renamed.dcm").open("ab") as file:
        file.write(b"\0")
    assert here.digest() != there.digest()


def test_a_source_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_slides(tmp_path / "nothing")


@pytest.fixture
def product(tmp_path: Path) -> Path:
    file = tmp_path / "summary.json"
    summary = {
        "verdict": "review",
        "reason": "2.5 % of the tissue is folded (limit 2 %).",
        "tissue_area_mm2": 3.25,
        "artifacts": {"fold": {"area_mm2": 0.1, "share_of_tissue": 0.025}},
        "warnings": ["The slide is coarse."],
    }
    file.write_text(json.dumps(summary))
    return file


def test_results_that_are_there_are_known_again_by_content_and_method(
    tmp_path: Path, product: Path
) -> None:
    digest, target = "ab" * 32, tmp_path / "out"
    results = Results(target, "method-1")
    assert results.there(name_of(digest), digest) is None
    folder = results.publish(name_of(digest), [product])
    results.note(name_of(digest), digest, [Result(places=(1,), folder=folder)])
    assert Results(target, "method-1").there(name_of(digest), digest) == [folder]
    assert Results(target, "method-2").there(name_of(digest), digest) is None
    assert results.there(name_of(digest), "cd" * 32) is None
    (folder / "summary.json").unlink()
    assert results.there(name_of(digest), digest) is None


def test_what_was_refused_is_tried_again(tmp_path: Path) -> None:
    results = Results(tmp_path, "method")
    refused = Result(places=(1,), error=UnsuitableSlide("It cannot be read."))
    results.note("slide-ab", "ab", [refused])
    assert results.there("slide-ab", "ab") is None
    note = json.loads((tmp_path / ".analyze" / "slide-ab.json").read_text())
    assert note["errors"][0]["sentence"] == "It cannot be read."


def test_a_run_that_ends_while_it_copies_leaves_no_results(tmp_path: Path, product: Path) -> None:
    def interrupted() -> Iterator[Path]:
        yield product
        raise KeyboardInterrupt

    results = Results(tmp_path / "out", "method")
    with pytest.raises(KeyboardInterrupt):
        results.publish("slide-ab", interrupted())
    assert not (tmp_path / "out" / "slide-ab").exists()
    Results(tmp_path / "out", "method")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".analyze"]


def test_a_slide_that_is_refused_now_keeps_no_earlier_results(
    tmp_path: Path, product: Path
) -> None:
    results = Results(tmp_path / "out", "method")
    name = name_of("ab" * 32)
    folders = [results.publish(one, [product]) for one in (name, f"{name}-2")]
    made = [Result(places=(1,), folder=folder) for folder in folders]
    other = results.publish(name_of("cd" * 32), [product])
    results.note(name, "ab" * 32, made)
    assert all(folder.exists() for folder in folders)
    results.note(name, "ab" * 32, [Result(places=(1,), error=UnsuitableSlide("Torn."))])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".analyze", other.name]


def test_the_target_keeps_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / ".theirs.part").mkdir()
    (tmp_path / ".slide-ab.part").mkdir()
    Results(tmp_path, "method")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".analyze", ".theirs.part"]


def test_results_with_an_identity_are_for_us_alone(tmp_path: Path, product: Path) -> None:
    private = Results(tmp_path, "method", private=True).publish("slide-ab", [product])
    public = Results(tmp_path, "method").publish("slide-cd", [product])
    modes = [oct(path.stat().st_mode & 0o777) for path in (private, private / product.name)]
    assert modes == ["0o700", "0o600"]
    assert oct((public / product.name).stat().st_mode & 0o777) == "0o644"


def test_what_a_killed_run_left_behind_is_removed_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tmp_path = tmp_path_factory.mktemp("t")  # a short path
    left = tmp_path / "coverslip-line-dead"
    left.mkdir()
    (left / "lock").touch()
    strange = tmp_path / "coverslip-line-strange"
    strange.mkdir()
    with private_folder(tmp_path) as running, private_folder(tmp_path) as other:
        assert not left.exists()
        assert running.exists()
        assert other.exists()
        assert oct(running.stat().st_mode & 0o777) == "0o700"
    assert list(tmp_path.iterdir()) == [strange]


def test_a_path_too_long_for_sockets_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TMPDIR"), private_folder(tmp_path / ("x" * 90)):
        pass


def test_the_key_counts_and_the_speed_does_not(tmp_path: Path) -> None:
    keys = {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pseudonym.key").write_text(name * 64)
        keys[name] = method(keys=tmp_path / name).digest()
    assert len({*keys.values(), method().digest()}) == 3
    quick = Inference(device="gpu", workers=7, model_limit_s=9.0)
    assert method(inference=quick).digest() == method().digest()


def test_what_is_told_names_files_by_their_place(tmp_path: Path, product: Path) -> None:
    folder = Results(tmp_path / "out", "method").publish("slide-ab", [product])
    results = [
        Result(places=(1, 2), name="slide-ab", folder=folder),
        Result(places=(3,), error=UnsuitableSlide("It cannot be read.")),
    ]
    lines = lines_of(results, tmp_path).splitlines()
    assert lines[0].startswith("slide-ab (files 1, 2 by name): REVIEW. 2.5 % of the tissue")
    assert lines[1:4] == [
        "    3.25 mm² of tissue: fold 2.5 %",
        "    note: The slide is coarse.",
        "file 3 by name: refused. It cannot be read.",
    ]
    assert lines[5] == f"unsuitable-slide: {UnsuitableSlide.next_step}"
    told = json_of(results)
    assert told["totals"] == {"done": 1, "there": 0, "refused": 1}
    assert told["slides"][0]["result"]["verdict"] == "review"
    assert told["slides"][1]["error"]["code"] == "unsuitable-slide"


def test_the_settings_of_the_line_are_those_of_the_method(tmp_path: Path) -> None:
    asked = method(
        restore=True,
        deidentify=Deidentify(text_in_pixels="remove", site_rules=Path('odd "name".json')),
        verdict=VerdictRules(rescan={"fold": 0.5}, review={}),
        report=Report(annotations=True, heat_map="parametric"),
    )
    file = tmp_path / "coverslip.toml"
    file.write_text(settings_text(asked, root=tmp_path, keys=tmp_path), encoding="utf-8")
    settings = load(file)
    for name in ("deidentify", "inference", "verdict", "report"):
        assert getattr(settings, name) == getattr(asked, name)
    assert set(settings.routes[0].carries) == {"SR", "SEG", "ANN", "heat_map"}
    assert asked.digest() != method(restore=True).digest()


def test_settings_that_are_there_hold(tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    file = tmp_path / "coverslip.toml"
    file.write_text(
        f'[storage]\nroot = "{tmp_path}"\n[keys]\nfolder = "{tmp_path}"\n'
        f'[inference]\ndevice = "gpu"\n[[inference.models]]\nfolder = "own"\ndigest = "{digest}"\n'
    )
    asked = method_of(file, keys=None, device=None, workers=3, restore=False)
    assert (asked.inference.device, asked.inference.workers) == ("gpu", 3)
    assert asked.inference.models[0].digest == digest
    assert asked.keys == tmp_path
    with pytest.raises(ConfigError, match="folder of keys"):
        method_of(file, keys=tmp_path / "none", device=None, workers=None, restore=False)
