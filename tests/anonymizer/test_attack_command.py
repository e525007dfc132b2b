"""`coverslip privacy attack`: reads what left exactly as it left, and tells it to a person."""

import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from anonymizer.attack.blind import guess
from anonymizer.attack.figures import NOT_COUNTED, Figure
from anonymizer.attack.picture import RIGHT, WRONG, turned_as
from anonymizer.attack.released import read_released
from anonymizer.attack.truth_file import read_truth, write_truth
from anonymizer.privacy.attack_words import counted, percent
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.release.restore import to_file
from anonymizer.tiles.cut import turned
from anonymizer.tiles.dicom import tile_image
from anonymizer.tiles.shards import Tile
from appliance.command import main
from appliance.errors import ConfigError
from tests.anonymizer.attack_tiles import (
    Release,
    jpeg,
    leave_as_shards,
    of_recipient,
    release,
    smooth,
    together,
)  # fmt: skip

PICTURE = smooth(320, 320, seed=21)


@pytest.fixture(scope="module")
def whole() -> Release:
    """100 tiles that touch."""
    return release(PICTURE, cell_px=32, crop_px=32, are_turned=True)


@pytest.fixture(scope="module")
def left(whole: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, as it leaves without a plan."""
    folder = tmp_path_factory.mktemp("left")
    leave_as_shards(folder, whole[0], per_shard=64)
    return folder


def truth_of(one: Release, folder: Path) -> Path:
    write_truth(folder / "truth.json", one[1])
    return folder / "truth.json"


def attack(*words: object) -> int:
    return main(["privacy", "attack", *map(str, words)])


def test_shards_are_read_in_their_order_with_what_lies_beside(left: Path, whole: Release) -> None:
    tiles = read_released([left])
    assert tiles.ids == whole[0].ids
    assert tiles.names[0] == f"parcel0000.tar/{tiles.ids[0]}.jpg"
    assert tiles.names[-1].startswith("parcel0064.tar/")
    assert tiles.sizes_bytes[0] == len(jpeg(whole[0].pixels[0]))
    assert set(tiles.times) == {0.0}
    assert len(set(tiles.tables)) == 1
    assert not tiles.facts, "µm/px and stain are the same for all, and the id is the name"
    assert not tiles.others


def test_whatever_differs_between_tiles_is_kept_as_a_fact(tmp_path: Path, whole: Release) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for number, pixels in enumerate(whole[0].pixels[:4]):
            facts = json.dumps({"number": number, "um_px": 0.5}).encode()
            for ending, content in (("jpg", jpeg(pixels, quality=80 + number)), ("json", facts)):
                entry = tarfile.TarInfo(f"tile{number}.{ending}")
                entry.size, entry.mtime = len(content), 1_700_000_000 + number
                tar.addfile(entry, io.BytesIO(content))
    tiles = read_released([tmp_path / "shard.tar"])
    assert tiles.facts == {"json number": ("0", "1", "2", "3")}
    assert tiles.times.tolist() == [1_700_000_000 + number for number in range(4)]
    assert len(set(tiles.tables)) == 4, "every quality has tables of its own"


def test_plain_pictures_are_read_with_their_times_and_an_overview_apart(tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "deep" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(PICTURE[:32, number * 32 :][:, :32]).save(path)
        os.utime(path, (0, 1_600_000_000 + number))
    Image.fromarray(PICTURE[::8, ::8][:30]).save(tmp_path / "thumbnail.png")
    (tmp_path / "notes.txt").write_text("no picture")
    tiles = read_released([tmp_path])
    assert tiles.names == ("deep/0.png", "deep/1.png", "deep/2.png")
    assert tiles.ids == ("0", "1", "2")
    assert (tiles.pixels[1] == PICTURE[:32, 32:64]).all()
    assert tiles.times[2] == 1_600_000_002
    assert {name: pixels.shape for name, pixels in tiles.others.items()} == {
        "thumbnail.png": (30, 40, 3)
    }


def test_dicom_tiles_are_read_and_their_elements_looked_at(tmp_path: Path, whole: Release) -> None:
    recipient = Pseudonyms(key=bytes(32)).for_recipient("lab")
    for name, pixels in zip(whole[0].ids[:5], whole[0].pixels, strict=False):
        tile = Tile(jpeg=jpeg(pixels), um_px=0.5, stain="H&E")
        (tmp_path / f"{name}.dcm").write_bytes(to_file(tile_image(name, tile, recipient)))
    tiles = read_released([tmp_path])
    assert tiles.ids == whole[0].ids[:5]
    assert np.abs(tiles.pixels.astype(int) - whole[0].pixels[:5]).mean() < 6
    assert "SOPInstanceUID" in tiles.facts
    assert not {name for name in tiles.facts if "Date" in name or "Time" in name}


@pytest.mark.parametrize("content", [b"", b"\xff\xd8 no JPEG"])
def test_what_does_not_open_is_named_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tile.jpg").write_bytes(content)
    with pytest.raises(ConfigError, match=r"tile\.jpg is not a picture that opens"):
        read_released([tmp_path])


def test_a_missing_folder_and_a_wrong_truth_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a folder nor a file"):
        read_released([tmp_path / "gone"])
    with pytest.raises(ConfigError, match="fewer than two"):
        read_released([tmp_path])
    (tmp_path / "truth.json").write_text('{"cell_px": 3}')
    with pytest.raises(ConfigError, match="is not a truth"):
        read_truth(tmp_path / "truth.json")


def test_tiles_without_a_plan_are_put_together_and_shown(
    left: Path, whole: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = tmp_path / "best.png"
    assert attack(left, "--truth", truth_of(whole, tmp_path), "--picture", shown) == 1
    said = capsys.readouterr().out
    assert "Conclusion: these tiles give too much away: the neighbour is named in 100.0 %" in said
    assert "(chance 0.13 %)" in said, "1 in 8 x 99"
    assert "learned: not run" in said
    assert "all tiles are of one slide" in said
    with Image.open(shown) as image:
        colours = {colour for _, colour in image.getcolors(1 << 24)}
    assert RIGHT in colours
    assert _largest_blue_part(shown) > 0.5


def _largest_blue_part(path: Path) -> float:
    """Share of the framed area that lies in frames of tiles in their right place."""
    pixels = np.asarray(Image.open(path))[70:]
    blue, red = ((pixels == colour).all(axis=2).sum() for colour in (RIGHT, WRONG))
    return float(blue / (blue + red))


def test_a_coloured_plan_is_told_as_not_counted_and_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = smooth(768, 768, seed=4, grain_px=4)
    one = release(picture, cell_px=32, crop_px=24, are_turned=True, colour=(0, 1))
    (tmp_path / "left").mkdir()
    leave_as_shards(tmp_path / "left", one[0], per_shard=256)
    assert attack(tmp_path / "left", "--truth", truth_of(one, tmp_path)) == 0
    said = capsys.readouterr().out
    assert "Tiles side by side: not counted, N=0: no such pair was released." in said
    assert "Tiles with one cell between them (" in said
    assert said.rstrip().endswith("could be put together beyond the limits.")


def test_recipients_who_collude_are_told_set_by_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    halves = [
        of_recipient(
            release(PICTURE, cell_px=32, crop_px=32, are_turned=False, colour=c, seed=n), name
        )
        for n, (c, name) in enumerate([((0, 0), "lab"), ((0, 1), "firm")])
    ]
    folders = []
    for (tiles, _), name in zip(halves, ("lab", "firm"), strict=True):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        leave_as_shards(folders[-1], tiles, per_shard=64)
    truth = truth_of(together(*halves), tmp_path)
    assert attack(*folders, "--truth", truth) == 1
    said = capsys.readouterr().out
    assert "  firm (25 tiles): tiles with one cell between them" in said
    assert "  firm + lab (50 tiles): tiles side by side, named first in " in said
    assert "a perfect matcher would join 20.0 % of a slide" in said


def test_scripts_get_null_for_what_was_not_counted(
    left: Path, whole: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = cv2.resize(PICTURE, None, fx=1 / 4, fy=1 / 4, interpolation=cv2.INTER_AREA)
    Image.fromarray(small).save(tmp_path / "small.png")
    words = ("--truth", truth_of(whole, tmp_path), "--overview", tmp_path / "small.png", "--json")
    assert attack(left, *words) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["same_slide"] == {"value": None, "chance": None, "n": 0}
    assert told["n_pairs"] == {"edge": 180, "diagonal": 162, "two apart": 160}
    assert told["overview"]["value"] > 0.9
    assert "an overview places" in told["conclusion"]
    assert told["collusions"] == []


def test_without_the_truth_it_says_what_an_attacker_sees(
    left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attack(left, "--picture", tmp_path / "guess.png") == 0
    said = capsys.readouterr().out
    assert "Without --truth nobody can say what is right." in said
    assert "fit together far more often than by chance" in said
    with Image.open(tmp_path / "guess.png") as image:
        assert image.width == 1600


def test_tiles_that_do_not_fit_are_not_said_to(whole: Release) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    found = guess(replace(whole[0].take(range(60)), pixels=noise))
    assert found.n_confirmed < 3 * found.n_by_chance


def test_a_truth_that_lacks_tiles_is_refused(
    left: Path, whole: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles, truth = whole
    path = truth_of((tiles, replace(truth, tiles=dict(list(truth.tiles.items())[1:]))), tmp_path)
    assert attack(left, "--truth", path) != 0
    assert "The truth does not know 1 of the 100 tiles." in capsys.readouterr().err


@pytest.mark.parametrize("pose", range(8))
def test_the_picture_turns_tiles_as_the_attacker_did(pose: int) -> None:
    tile = PICTURE[:16, :16]
    assert (turned_as(tile, pose) == turned(tile, pose)).all()


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Figure(value=0.0, chance=0.5, n=4), "0.0 % (chance 50.0 %)"),
        (Figure(value=0.004, chance=0.0009, n=4), "0.40 % (chance 0.09 %)"),
        (NOT_COUNTED, "not counted, N=0"),
    ],
)
def test_a_figure_stands_beside_its_chance(figure: Figure, words: str) -> None:
    assert counted(figure) == words
    assert percent(None) == "not counted"
