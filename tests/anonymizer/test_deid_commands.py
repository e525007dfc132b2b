import argparse
import json
import os
import shutil
import signal
import subprocess
import sys

import pydicom
import pytest

from anonymizer import commands
from anonymizer.deidentify.commands import EXIT_REFUSED
from anonymizer.deidentify.many import ALWAYS_S
from anonymizer.keys.files import init_keys, read_pseudonyms
from appliance.errors import ConfigError
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from tests.anonymizer import planted


@pytest.fixture
def keys(tmp_path):
    init_keys(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def settings(tmp_path, keys):
    """Settings with which nothing is read in pixels, so that tests are quick."""
    path = tmp_path / "coverslip.toml"
    path.write_text(
        f'[storage]\nroot = "{tmp_path}"\n[keys]\nfolder = "{keys}"\n'
        '[deidentify]\ntext_in_pixels = "off"\nlabel = "ignore"\n'
    )
    return path


def coverslip(*arguments, settings=None):
    parser = argparse.ArgumentParser()
    parser.set_defaults(settings=settings)
    commands.register(parser.add_subparsers(required=True))
    parsed = parser.parse_args([str(one) for one in arguments])
    return parsed.run(parsed)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """Three levels, label, overview and thumbnail of a generated slide."""
    folder = tmp_path_factory.mktemp("scan")
    plan = SlidePlan.of_size(600, 800, seed=1, kinds=())
    write_slide(folder, plan, SlideIdentity.canary(planted.WORD))
    return folder


@pytest.fixture
def scans(tmp_path, slide):
    """Writes so many small slides of one study, a container each."""

    def write(count):
        folder = tmp_path / "in"
        folder.mkdir()
        data_set = pydicom.dcmread(slide / "volume-2.dcm")
        for number in range(count):
            data_set.ContainerIdentifier = f"{planted.WORD}CONTAINER{number}"
            data_set.SOPInstanceUID = f"{planted.UID_ROOT}8.{number}"
            data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
            data_set.save_as(folder / f"{planted.WORD}{number}.dcm")
        return folder

    return write


def content_of(folder):
    """Bytes and times of everything in a folder, by path."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else b"",
            path.stat().st_mtime,
        )
        for path in folder.rglob("*")
    }


def test_a_folder_of_slides_becomes_one_folder_a_slide(tmp_path, settings, capsys, slide):
    shutil.copytree(slide, tmp_path / "in" / "one")
    (tmp_path / "in" / "notes.txt").write_text("no DICOM")
    code = coverslip(
        "deidentify", tmp_path / "in", tmp_path / "out",
        "--report", tmp_path / "report.json", settings=settings,
    )  # fmt: skip
    folders = list((tmp_path / "out").iterdir())
    assert code == EXIT_REFUSED
    assert len(folders) == 1
    assert {path.name for path in folders[0].iterdir()} == {f"volume-0{n}.dcm" for n in range(3)}
    assert json.loads((tmp_path / "report.json").read_text())["key_id"]
    printed = capsys.readouterr().out
    assert "3 images kept, 3 left out" in printed
    assert "1 file(s) refused (number 1 by name): The file is not a DICOM file." in printed
    assert "In all: 1 done, 1 refused." in printed
    assert "invalid-instance: Send the object again" in printed
    assert planted.WORD not in printed


def test_a_single_file_can_be_de_identified(tmp_path, settings, slide):
    arguments = ("deidentify", slide / "volume-0.dcm", tmp_path / "out")
    assert coverslip(*arguments, settings=settings) == 0


def test_several_processes_write_what_one_writes_and_no_name_or_time_of_the_input(
    tmp_path, settings, capsys, scans
):
    source = scans(3)
    for jobs in (1, 3):
        arguments = ("deidentify", source, tmp_path / f"out{jobs}", "--jobs", jobs)
        assert coverslip(*arguments, settings=settings) == 0
    captured = capsys.readouterr()
    assert "3 of 3 slides" in captured.err
    assert "In all: 3 done." in captured.out
    one, three = content_of(tmp_path / "out1"), content_of(tmp_path / "out3")
    assert one == three
    assert len(one) == 6
    assert {time for _, time in one.values()} == {ALWAYS_S}
    assert not [name for name in one if planted.WORD in name]


def test_what_is_there_already_is_left_as_it_is_and_only_the_rest_is_done(
    tmp_path, settings, capsys, scans
):
    source = scans(2)
    arguments = ("deidentify", source, tmp_path / "out", "--jobs", 1)
    assert coverslip(*arguments, settings=settings) == 0
    before = content_of(tmp_path / "out")
    first, second = sorted((tmp_path / "out").iterdir())
    for path in second.iterdir():
        path.unlink()
    second.rmdir()
    inode = (first / "volume-00.dcm").stat().st_ino
    capsys.readouterr()
    assert coverslip(*arguments, settings=settings) == 0
    assert "In all: 1 done, 1 there already." in capsys.readouterr().out
    assert content_of(tmp_path / "out") == before
    assert (first / "volume-00.dcm").stat().st_ino == inode


def test_a_slide_that_was_made_with_other_options_is_not_taken_for_this_runs(
    tmp_path, settings, capsys, scans
):
    source = scans(1)
    arguments = ("deidentify", source, tmp_path / "out")
    assert coverslip(*arguments, settings=settings) == 0
    [made] = (tmp_path / "out").glob("*/volume-00.dcm")
    made.write_bytes(made.read_bytes().replace(b"113107", b"113106"))
    assert coverslip(*arguments, settings=settings) == EXIT_REFUSED
    printed = capsys.readouterr().out
    assert "was made with other options" in printed
    assert "other-options: Name another folder" in printed


def test_a_stopped_run_leaves_no_half_slide_and_can_be_run_again(tmp_path, settings, scans):
    source, target = scans(8), tmp_path / "out"
    command = [sys.executable, "-m", "appliance", "--settings", settings]
    arguments = ["deidentify", source, target, "--jobs", "2"]
    with subprocess.Popen(
        [*command, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr.readline() == "1 of 8 slides\n"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=30) == 130
    assert "Traceback" not in rest
    made = sorted(target.iterdir())
    assert 1 <= len(made) < 8
    assert not [path for path in made if path.name.startswith(".")]
    assert all((path / "volume-00.dcm").is_file() for path in made)
    times = {path: path.stat().st_ino for path in made}
    assert coverslip(*arguments[:3], "--jobs", 1, settings=settings) == 0
    assert len(list(target.iterdir())) == 8
    assert {path: path.stat().st_ino for path in made} == times


def test_a_slide_that_kills_its_process_stops_no_other(tmp_path):
    from anonymizer.deidentify.apart import Died, run_apart

    told = []
    outcomes = run_apart(
        [0, 9, 0], _killed_by_nine, lambda number, share: told.append((number, share)), jobs=2
    )
    assert outcomes[0] == outcomes[2] == "done"
    assert isinstance(outcomes[1], Died)
    assert "-9" in outcomes[1].how
    assert {(0, 1.0), (1, 1.0), (2, 1.0)} <= set(told)


def _killed_by_nine(signal_number, told):
    told(0.5)
    if signal_number:
        os.kill(os.getpid(), signal_number)
    return "done"


def test_a_bug_is_told_by_kind_and_place_and_never_by_its_words(capsys):
    from anonymizer.deidentify.apart import Died, run_apart

    def task(item, _told):
        raise ValueError(f"cannot read {item}")

    [died] = run_apart([planted.WORD], task, lambda _number, _share: None, jobs=1)
    assert isinstance(died, Died)
    assert died.how.startswith("ValueError at test_deid_commands.py:")
    captured = capsys.readouterr()
    assert planted.WORD not in captured.out + captured.err + died.how


def test_a_dry_run_tells_of_every_attribute_and_writes_nothing(tmp_path, settings, capsys, slide):
    arguments = ("deidentify", slide, tmp_path / "out", "--report", tmp_path / "report.json")
    assert coverslip(*arguments, "--dry-run", settings=settings) == 0
    assert not (tmp_path / "out").exists()
    assert "3 images would be kept, 3 left out" in capsys.readouterr().out
    planned = json.loads((tmp_path / "report.json").read_text())
    assert coverslip(*arguments, settings=settings) == 0
    done = json.loads((tmp_path / "report.json").read_text())
    assert planned["images"] == done["images"]
    assert planned["dropped"] == done["dropped"]
    assert len(done["images"][0]["steps"]) > 80


def test_a_dicomdir_is_not_passed_on(tmp_path, settings, scans):
    source = scans(1)
    (source / "DICOMDIR").write_bytes(b"names the files of the input")
    assert coverslip("deidentify", source, tmp_path / "out", settings=settings) == 0
    assert [path.name for path in (tmp_path / "out").glob("*/*")] == ["volume-00.dcm"]


def test_the_summary_for_scripts_says_the_same(tmp_path, settings, capsys, scans):
    source = scans(1)
    (source / "notes.txt").write_text("no DICOM")
    arguments = ("deidentify", source, tmp_path / "out", "--json")
    assert coverslip(*arguments, settings=settings) == EXIT_REFUSED
    told = json.loads(capsys.readouterr().out)
    assert told["totals"] == {"done": 1, "planned": 0, "there": 0, "refused": 1}
    [refused] = [slide for slide in told["slides"] if slide["status"] == "refused"]
    assert refused["error"]["code"] == "invalid-instance"
    assert refused["files"] == [2]
    [done] = [slide for slide in told["slides"] if slide["status"] == "done"]
    assert (done["kept"], done["left_out"]) == (1, 0)
    assert (tmp_path / "out" / done["slide"]).is_dir()


def test_reports_can_be_a_folder_with_a_page_and_json_for_every_slide(tmp_path, settings, scans):
    source = scans(2)
    target, reports = tmp_path / "out", tmp_path / "reports"
    assert coverslip("deidentify", source, target, "--report", reports, settings=settings) == 0
    names = {path.name for path in target.iterdir()}
    assert {path.name for path in reports.iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("json", "html")
    }


def test_nothing_works_without_keys_or_with_arguments_that_do_not_fit(tmp_path, keys, scans):
    with pytest.raises(ConfigError, match="keys init"):
        coverslip("deidentify", tmp_path, tmp_path / "out", "--keys", tmp_path / "none")
    with pytest.raises(ConfigError, match="does not exist"):
        coverslip("deidentify", tmp_path / "missing", tmp_path / "out", "--keys", tmp_path)
    with pytest.raises(ConfigError, match="lies inside"):
        coverslip("deidentify", tmp_path, tmp_path / "out", "--keys", keys)
    source = scans(1)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigError, match="cannot be made"):
        coverslip("deidentify", source, tmp_path / "file" / "out", "--keys", keys)
    with pytest.raises(ConfigError, match="--jobs"):
        coverslip("deidentify", source, tmp_path / "out", "--keys", keys, "--jobs", 0)
    for option, value, words in (
        ("--profile", "no_such", "not available"),
        ("--site-rules", tmp_path / "none.toml", "cannot be read"),
        ("--code-list", tmp_path / "none.csv", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words):
            coverslip("deidentify", source, tmp_path / "out", "--keys", keys, option, value)
    assert not (tmp_path / "out").exists()


def test_options_site_rules_and_a_code_list_of_the_command_line_apply(tmp_path, settings, scans):
    source = scans(1)
    codes, rules = tmp_path / "codes.csv", tmp_path / "rules.toml"
    header = pydicom.dcmread(next(source.iterdir()), stop_before_pixels=True)
    codes.write_text(
        "patient_id,issuer,pseudonym,shift_weeks\n"
        f"{header.PatientID},{header.IssuerOfPatientID},ONCO-1,\n"
    )
    codes.chmod(0o600)
    rules.write_text('[[rule]]\nattribute = "ImageComments"\naction = "remove"\nwhy = "not here"\n')
    code = coverslip(
        "deidentify", source, tmp_path / "out", "--profile", "remove_dates,clean_graphics",
        "--site-rules", rules, "--code-list", codes, "--report", tmp_path / "report.json",
        settings=settings,
    )  # fmt: skip
    assert code == 0
    [made] = (tmp_path / "out").glob("*/volume-00.dcm")
    header = pydicom.dcmread(made, stop_before_pixels=True)
    assert header.PatientID == "ONCO-1"
    assert header.LongitudinalTemporalInformationModified == "REMOVED"
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"remove_dates", "clean_graphics"} <= set(report["options"])
    assert report["site_rules"]["rules"][0]["attribute"] == "ImageComments"


def test_without_other_settings_the_pixels_are_read_too(tmp_path, keys, require_tool, scans):
    require_tool("tesseract")
    source = scans(1)
    arguments = ("--keys", keys, "--report", tmp_path / "report.json")
    assert coverslip("deidentify", source, tmp_path / "out", *arguments) == 0
    assert json.loads((tmp_path / "report.json").read_text())["seen"]["pictures"] > 0


def test_keys_are_made_and_named(tmp_path, capsys):
    assert coverslip("keys", "init", "--folder", tmp_path / "new") == 0
    assert "pseudonym.key" in capsys.readouterr().out
    assert coverslip("keys", "show-id", "--folder", tmp_path / "new") == 0
    shown = capsys.readouterr().out.strip()
    assert read_pseudonyms(tmp_path / "new").key_id in shown
    with pytest.raises(ConfigError, match="never overwritten"):
        coverslip("keys", "init", "--folder", tmp_path / "new")
