"""Certificates of release plans: who gets one, and what starts without."""

import argparse
import io
import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anonymizer.attack.attack import attack
from anonymizer.attack.figures import AttackReport
from anonymizer.attack.pairs import true_pairs
from anonymizer.keys.files import init_keys
from anonymizer.privacy.commands import register
from anonymizer.privacy.measure import Runs, open_channels
from anonymizer.privacy.measured import bundled
from anonymizer.privacy.pictures import overlay, sheet
from anonymizer.privacy.releases import each_recipient, planned, shuffled, without_plan
from anonymizer.privacy.tissue import Tissue, arranged, piece
from anonymizer.release.certified import check_routes
from anonymizer.tiles.cut import encode
from anonymizer.tiles.plan import Placement
from appliance.certificate import Corpus
from appliance.commands import run_check_config
from appliance.errors import EXIT_CONFIG, ConfigError, ForbiddenAction
from appliance.settings import ColouredTiles, load
from appliance.settings.policy import MEASURED
from appliance.slides.reader import open_slide
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from tests.anonymizer.release_line import STATEMENT, Line, tiles_route
from tests.anonymizer.test_release_daemon import start

SMALL = {"cell_px": 64, "crop_px": 32}


def plan(**terms) -> ColouredTiles:
    return ColouredTiles(mechanism="coloured_tiles", statement=STATEMENT, **terms)


def settings_file(folder: Path, **terms) -> Path:
    """Settings with one route of tiles, and keys."""
    path = folder / "coverslip.toml"
    more = "".join(f"{name} = {value}\n" for name, value in terms.items())
    path.write_text(
        f'[storage]\nroot = "{folder / "root"}"\n[keys]\nfolder = "{folder / "keys"}"\n'
        f'[[routes]]\nname = "research"\nrecipient = "university"\nplace = "outside"\n'
        f'kind = "folder"\ncarries = ["tiles"]\nfolder = "{folder}"\n'
        f'[routes.policy]\nmechanism = "coloured_tiles"\nstatement = "{STATEMENT}"\n{more}'
    )
    if not (folder / "keys").exists():
        init_keys(folder / "keys")
    return path


def privacy(settings: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    parsed = parser.parse_args(["privacy", *words])
    parsed.settings = settings
    return parsed.run(parsed)


def test_the_default_plan_was_measured_and_holds() -> None:
    assert bundled()[plan().plan_digest].holds


@pytest.mark.parametrize("digest", bundled())
def test_what_is_bundled_speaks_of_the_plan_that_it_names(digest: str) -> None:
    found = bundled()[digest]
    assert set(found.plan) == set(MEASURED)
    assert plan(**found.plan).plan_digest == digest
    asked = {figure.name.split()[0] for figure in found.figures if figure.limit is not None}
    assert asked >= {"top_1", "overlap_px", "side_channels", "same_slide_auc"}
    assert all(figure.n for figure in found.figures if figure.limit is not None)
    assert all(figure.chance is not None for figure in found.figures if figure.limit is not None)


def test_a_route_is_used_once_its_plan_is_certified(tmp_path, capsys) -> None:
    settings = settings_file(tmp_path)
    with pytest.raises(ConfigError, match="Route research: Its plan has no certificate"):
        check_routes(load(settings), now=time.time())
    assert privacy(settings, "certify", "research") == 0
    assert "The plan of research holds" in capsys.readouterr().out
    check_routes(load(settings), now=time.time())
    settings_file(tmp_path, crop_px=160, jpeg_quality=95)
    with pytest.raises(ConfigError, match="coverslip privacy certify"):
        check_routes(load(settings), now=time.time())


def test_check_config_asks_for_certificates_of_whoever_may_read_the_keys(tmp_path, capsys) -> None:
    arguments = argparse.Namespace(settings=settings_file(tmp_path))
    with pytest.raises(ConfigError, match="Route research: Its plan has no certificate"):
        run_check_config(arguments)
    (tmp_path / "keys" / "sign.pub").unlink()
    assert run_check_config(arguments) == 0
    assert "is sound" in capsys.readouterr().out


def test_the_daemon_does_not_start_with_a_route_that_has_no_certificate(tmp_path) -> None:
    settings = settings_file(tmp_path)
    daemon: subprocess.Popen[bytes] = start(settings)
    assert daemon.wait(60) == EXIT_CONFIG


def test_a_plan_that_nobody_measured_is_told_how_to_be_measured(tmp_path) -> None:
    settings = settings_file(tmp_path, jpeg_quality=91)
    with pytest.raises(ConfigError, match="--slides DIR"):
        privacy(settings, "certify", "research")
    assert not list((tmp_path / "keys" / "certificates").iterdir())


def test_a_plan_that_gives_too_much_away_is_certified_as_such_and_its_route_refused(
    tmp_path, monkeypatch
) -> None:
    settings = settings_file(tmp_path)
    digest = plan().plan_digest
    table = json.loads(json.dumps(bundled()[digest].to_table()))
    for figure in table["figures"]:
        if figure["name"].startswith("top_1"):
            figure["value"] = 1.0
    worse = type(bundled()[digest]).from_table(table)
    monkeypatch.setattr("anonymizer.privacy.measured.bundled", lambda: {digest: worse})
    assert privacy(settings, "certify", "research") == 1
    with pytest.raises(ConfigError, match="rebuilt more than it may"):
        check_routes(load(settings), now=time.time())


@pytest.fixture(scope="module")
def slides(tmp_path_factory) -> Path:
    """Two small slides of a site, one folder each."""
    folder = tmp_path_factory.mktemp("slides")
    for seed in (1, 2):
        identity = SlideIdentity.canary(f"CANARY{seed}")
        write_slide(folder / f"MILLER-{seed}", SlidePlan.tiny(seed=seed, kinds=()), identity)
    return folder


def test_a_site_measures_on_its_own_slides_and_the_certificate_names_none_of_them(
    tmp_path, slides, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("anonymizer.privacy.slides.KEYS", (b"one key, for the time it takes",))
    terms = {"cell_px": 128, "crop_px": 96}
    settings = settings_file(tmp_path, **terms)
    code = privacy(settings, "certify", "research", "--slides", str(slides))
    written = (tmp_path / "keys" / "certificates" / f"{plan(**terms).plan_digest}.json").read_text()
    measurement = json.loads(written)["measurement"]
    assert code == (0 if json.loads(written)["holds"] else 1)
    names = [corpus["name"] for corpus in measurement["corpora"]]
    assert names == ["slide 1", "slide 2", "all slides, one batch"]
    assert all(corpus["n_tiles"] >= 8 for corpus in measurement["corpora"])
    works = measurement["figures"][0]
    assert works["at_least"]
    assert works["value"] >= works["limit"], "the attack finds neighbours where there are some"
    (enough,) = [one for one in measurement["figures"] if one["name"] == "tiles of one recipient"]
    assert enough["value"] < enough["limit"], "slides as small as these prove nothing"
    assert not json.loads(written)["holds"]
    words = written + capsys.readouterr().out
    assert "MILLER" not in words
    assert "CANARY" not in words


def test_one_slide_is_too_few_to_measure_on(tmp_path, slides) -> None:
    settings = settings_file(tmp_path, **SMALL)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "one").symlink_to(next(slides.iterdir()))
    with pytest.raises(ConfigError, match="two slides"):
        privacy(settings, "certify", "research", "--slides", str(alone))


@pytest.fixture(scope="module")
def tissue(slides) -> Tissue:
    with open_slide(sorted((slides / "MILLER-1").glob("*.dcm"))) as reader:
        base = reader.levels[0]
        pixels = np.asarray(reader.region(0, 0, 0, base.rows, base.columns))
    return Tissue(name="one", kind="real", um_px=0.5, pieces=(piece("one", pixels),))


def test_a_measured_recipient_holds_what_release_would_give_it(tissue) -> None:
    policy = plan(**SMALL)
    tiles, truth = planned(tissue, policy, key=b"key")
    assert tiles.side_px == policy.crop_px
    recipients = {tile.recipient for tile in truth.tiles.values()}
    assert len(recipients) == policy.colours
    for held, sealed in each_recipient(tissue, policy, key=b"key"):
        placed = sealed.of(held)
        assert len({tile.recipient for tile in placed}) == 1
        assert not len(true_pairs(placed, policy.cell_px, "edge"))
        assert not len(true_pairs(placed, policy.cell_px, "diagonal"))
        assert len(true_pairs(placed, policy.cell_px, "two apart"))


def test_another_key_gives_another_sample_and_the_same_key_the_same(tissue) -> None:
    first, again, other = (planned(tissue, plan(**SMALL), key=key) for key in (b"a", b"a", b"b"))
    assert np.array_equal(first[0].pixels, again[0].pixels)
    assert not set(first[0].ids) & set(other[0].ids)


def test_without_a_plan_all_tiles_touch_and_shuffled_ones_do_in_truth(tissue) -> None:
    plain, shuffled_too = without_plan(tissue, tile_px=64), shuffled(tissue, tile_px=64, seed=1)
    pairs = [true_pairs(truth.of(tiles), 64, "edge") for tiles, truth in (plain, shuffled_too)]
    assert len(pairs[0]) == len(pairs[1]) > 50
    assert list(plain[0].ids) == sorted(plain[0].ids)


def test_pieces_that_are_arranged_pair_within_themselves_only(tissue) -> None:
    one = tissue.pieces[0]
    pieces = tuple(piece(f"piece {number}", one.pixels) for number in range(3))
    together = arranged("all", pieces, cell_px=64)
    tiles, truth = planned(together, plan(**SMALL), key=b"key")
    placed = truth.of(tiles)
    for relation in ("edge", "two apart"):
        pairs = true_pairs(placed, 64, relation)
        assert {placed[i].piece for i in pairs.first} == {"piece 0", "piece 1", "piece 2"}
        assert all(
            placed[a].piece == placed[b].piece
            for a, b in zip(pairs.first, pairs.second, strict=True)
        )
    begins = [tuple(np.argwhere(one.class_map)[0] // 4 % 2) for one in together.pieces]
    assert len(set(begins)) == len(pieces), "each begins on another colour"


def test_a_side_channel_is_open_when_it_is_found_again(tissue) -> None:
    def runs(*reports: AttackReport) -> Runs:
        corpus = Corpus(name="one", kind="real", um_px=None, n_tiles=1)
        return Runs(corpus=corpus, reports=reports)

    told = attack(*without_plan(tissue, tile_px=64), scores=("ssd",))
    silent = attack(*shuffled(tissue, tile_px=64, seed=1), scores=("ssd",))
    assert "order" in open_channels(runs(told))
    assert "order" in open_channels(runs(told, told, *[silent] * 18))
    assert open_channels(runs(told, *[silent] * 18)) == ()
    assert open_channels(runs(silent, silent)) == ()


def test_the_picture_of_a_plan_shows_what_leaves_and_pales_what_stays() -> None:
    slide = np.full((50, 80, 3), 100, dtype=np.uint8)
    placement = Placement(tile_id="0", row_px=40, column_px=80, side_px=200, turn=0)
    drawn = overlay(slide, [placement], px_per_px=0.1)
    assert (drawn[10, 15] == 100).all()
    assert (drawn[40, 60] > 150).all()
    assert (drawn[4, 8] == (0, 140, 60)).all()


def test_the_sheet_shows_every_tile_in_its_order() -> None:
    tiles = [encode(np.full((64, 64, 3), 10 * n, dtype=np.uint8), 90) for n in range(14)]
    page = sheet(tiles)
    assert page.shape == (2 * 100 + 4, 12 * 100 + 4, 3)
    assert abs(int(page[150, 150, 0]) - 130) < 6


def test_a_dry_run_says_and_shows_what_would_leave_and_nothing_does(tmp_path, capsys) -> None:
    line = Line(tmp_path, [tiles_route(**SMALL)])
    line.bring("slide-a")
    settings = settings_file(tmp_path, **SMALL)
    journal = line.root.path / "journal" / "journal.db"
    settings.write_text(settings.read_text() + f'[journal]\nurl = "sqlite:///{journal}"\n')
    assert privacy(settings, "plan", "research", "slide-a", "--folder", str(tmp_path / "out")) == 0
    words = capsys.readouterr().out
    assert "tiles would leave" in words
    assert STATEMENT in words
    with Image.open(tmp_path / "out" / "plan.png") as picture:
        picture.load()
    with Image.open(io.BytesIO((tmp_path / "out" / "tiles.png").read_bytes())) as picture:
        assert picture.width == 12 * 100 + 4
    assert not line.parcels("research")
    assert line.vault.samplings_of("university") == ()
    few = settings.with_name("few.toml")
    wants = "[routes.policy]\nmin_tiles_per_slide = 1000\n"
    few.write_text(settings.read_text().replace("[routes.policy]\n", wants))
    assert privacy(few, "plan", "research", "slide-a", "--folder", str(tmp_path / "out")) == 0
    assert "too few, so none would leave" in capsys.readouterr().out
    with pytest.raises(ForbiddenAction, match="no slide of that id"):
        privacy(settings, "plan", "research", "slide-b")
    line.close()
