"""`coverslip privacy truth`: the sealed answer to what has left, for the hospital's own attack."""

import json
import stat

import pytest

from anonymizer.attack.attack import attack
from anonymizer.attack.released import read_released
from anonymizer.attack.truth_file import read_truth
from anonymizer.privacy import truth_command
from appliance.errors import ForbiddenAction
from tests.anonymizer.release_line import INSIDE, Line, tiles_route
from tests.anonymizer.test_privacy_budget import coverslip

ROUTES = [INSIDE, tiles_route(tiles_per_shard=8, max_tiles_per_patient=20, colludes_with=[])]


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    line = Line(tmp_path_factory.mktemp("line"), ROUTES)
    for number in (1, 2):
        line.bring(f"slide-{number}", number=number, patient=number)
        line.work()
    yield line
    line.close()


def test_what_has_left_is_attacked_with_the_vaults_own_truth(line, tmp_path):
    path = tmp_path / "truth.json"
    assert coverslip(line, truth_command, "truth", "research", "--to", str(path)) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    tiles, truth = read_released(line.parcels("research")), read_truth(path)
    assert set(tiles.ids) <= set(truth.tiles)
    report = attack(tiles, truth, scores=("mgc",))
    assert (report.n_slides, report.n_recipients, report.cell_px) == (2, 1, 256)
    assert report.overlap_px.value == 0
    assert report.n_pairs["edge"] == report.n_pairs["diagonal"] == 0
    assert {tile.turn for tile in truth.tiles.values()} > {0}


def test_the_truth_names_nobody_and_replaces_nothing(line, tmp_path):
    path = tmp_path / "truth.json"
    path.write_text("mine")
    with pytest.raises(ForbiddenAction, match="is there already"):
        coverslip(line, truth_command, "truth", "research", "--to", str(path))
    assert path.read_text() == "mine"
    path.unlink()
    coverslip(line, truth_command, "truth", "research", "--to", str(path))
    slides = {tile["slide"] for tile in json.loads(path.read_text())["tiles"].values()}
    assert slides == {"slide 1", "slide 2"}
    for sampling in line.vault.samplings_of("university"):
        assert sampling.patient not in path.read_text()
        assert sampling.container not in path.read_text()


def test_only_routes_of_coloured_tiles_have_a_truth(line, tmp_path):
    with pytest.raises(ForbiddenAction, match="routes that send coloured tiles"):
        coverslip(line, truth_command, "truth", "pacs", "--to", str(tmp_path / "truth.json"))
