import argparse
import json

import pytest

from anonymizer import commands
from anonymizer.deidentify.commands import EXIT_REFUSED
from anonymizer.keys.files import init_keys, read_pseudonyms
from appliance.errors import ConfigError
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries


@pytest.fixture
def keys(tmp_path):
    init_keys(tmp_path / "keys")
    return tmp_path / "keys"


def coverslip(*arguments):
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers(required=True))
    parsed = parser.parse_args([str(one) for one in arguments])
    return parsed.run(parsed)


def test_a_folder_of_slides_becomes_one_folder_a_slide(tmp_path, keys, capsys):
    planted.planted_slide(tmp_path / "in" / "one", Canaries())
    (tmp_path / "in" / "notes.txt").write_text("no DICOM")
    code = coverslip(
        "deidentify", tmp_path / "in", tmp_path / "out", "--keys", keys,
        "--report", tmp_path / "report.json",
    )  # fmt: skip
    folders = list((tmp_path / "out").iterdir())
    assert code == EXIT_REFUSED
    assert len(folders) == 1
    assert sorted(path.name for path in folders[0].iterdir()) == ["volume-00.dcm", "volume-01.dcm"]
    assert json.loads((tmp_path / "report.json").read_text())["key_id"]
    printed = capsys.readouterr().out
    assert "2 images kept, 1 left out" in printed
    assert "1 file(s) refused: The file is not a DICOM file." in printed
    assert planted.WORD not in printed


def test_a_single_file_can_be_de_identified(tmp_path, keys):
    source = planted.write(
        tmp_path / "one.dcm", planted.volume(Canaries()), [planted.jpeg(n) for n in range(4)]
    )
    assert coverslip("deidentify", source, tmp_path / "out", "--keys", keys) == 0


def test_nothing_is_overwritten_and_a_refused_slide_leaves_nothing(tmp_path, keys, capsys):
    source = planted.write(
        tmp_path / "one.dcm", planted.volume(Canaries()), [planted.jpeg(n) for n in range(4)]
    )
    arguments = ("deidentify", source, tmp_path / "out", "--keys", keys)
    assert coverslip(*arguments) == 0
    assert coverslip(*arguments) == EXIT_REFUSED
    assert "nothing is overwritten" in capsys.readouterr().out
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_nothing_works_without_keys(tmp_path):
    with pytest.raises(ConfigError, match="keys init"):
        coverslip("deidentify", tmp_path, tmp_path / "out", "--keys", tmp_path / "none")
    with pytest.raises(ConfigError, match="does not exist"):
        coverslip("deidentify", tmp_path / "missing", tmp_path / "out", "--keys", tmp_path)


def test_keys_are_made_and_named(tmp_path, capsys):
    assert coverslip("keys", "init", "--folder", tmp_path / "new") == 0
    assert "pseudonym.key" in capsys.readouterr().out
    assert coverslip("keys", "show-id", "--folder", tmp_path / "new") == 0
    shown = capsys.readouterr().out.strip()
    assert shown == read_pseudonyms(tmp_path / "new").key_id
    with pytest.raises(ConfigError, match="never overwritten"):
        coverslip("keys", "init", "--folder", tmp_path / "new")
