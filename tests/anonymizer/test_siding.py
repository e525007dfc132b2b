"""The siding: answers of model servers come back onto the slide they were asked about."""

import io
import tarfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from anonymizer.release import site_route as site_route_module
from anonymizer.siding.placing import turned_back
from anonymizer.tiles.cut import turned
from appliance.errors import StorageFull
from appliance.line import Stage, State, Verdict
from appliance.slides.reader import open_slide
from appliance.slides.sampling import Sampler
from appliance.stores.vault import Vault
from inference.running.squares import squares
from inference.running.tiles import TileGrid
from tests.anonymizer.release_line import INSIDE, outside_sr_route
from tests.anonymizer.siding_line import (
    REPORT_AFTER_S,
    SidingLine,
    asking_route,
    few_tissue,
    site_route,
)


@pytest.fixture
def lines(tmp_path):
    made = []

    def make(*routes):
        made.append(SidingLine(tmp_path / f"line-{len(made)}", list(routes)))
        return made[-1]

    yield make
    for line in made:
        line.close()


def mean_colour(pixels):
    return pixels.mean(axis=(0, 1)) / 255


def picture(pixels):
    return pixels / 255


def deid_reader(line, slide_id):
    folder = line.root.zone("deid") / line.journal.board.folder(slide_id, Stage.DEIDENTIFY)
    return open_slide(sorted(folder.glob("*.dcm")))


def released(line, slide_id="slide-a", **bring):
    line.bring(slide_id, **{"maps": few_tissue()} | bring)
    assert line.work()
    assert line.status(slide_id).state is State.DONE
    return slide_id


@pytest.mark.parametrize("um_px", [0.5, 1.0])
def test_servers_of_the_site_get_the_very_pixels_that_a_local_classifier_reads(lines, um_px):
    line = lines(site_route(um_px=um_px, tile_px=256))
    released(line, maps={})
    (folder,) = line.parcels("compute")
    sent = Counter(pixels.tobytes() for pixels in line.sent(folder).values())
    with deid_reader(line, "slide-a") as reader:
        sampler = Sampler(reader, um_px)
        grid = TileGrid(rows=sampler.rows, columns=sampler.columns, tile_px=256, margin_px=0)
        wanted = np.ones((grid.tile_rows, grid.tile_columns), bool)
        local = Counter(
            tile.tobytes()
            for square in squares(grid, wanted, ratio=sampler.ratio, workers=1)
            for _, images in square.images(square.read(sampler), 4)
            for tile in images
        )
    assert sent == local
    assert sum(sent.values()) == grid.tile_rows * grid.tile_columns


def test_a_tile_that_holds_ink_or_too_little_clean_tissue_stays(lines):
    line = lines(site_route(tile_px=512))
    class_map = np.ones((128, 128), np.uint8)
    class_map[0, 0] = 4  # a dot of pen in the first tile
    class_map[:32, 32:52] = 2  # more than half of the second is a fold
    class_map[:32, 64:76] = 2  # less than half of the third
    released(line, maps={"class_map.png": class_map})
    (folder,) = line.parcels("compute")
    asking = line.vault.asked.asked("slide-a", "compute")
    places = {(tile.row_px, tile.column_px) for tile in line.vault.asked.tiles(asking)}
    everything = {(row, column) for row in range(0, 2048, 512) for column in range(0, 2048, 512)}
    assert everything - places == {(0, 0), (0, 512)}
    assert len(line.sent(folder)) == 14


@pytest.mark.parametrize("verdict", [Verdict.RESCAN, Verdict.REVIEW])
def test_nothing_is_asked_of_a_slide_that_is_not_accepted(lines, verdict):
    line = lines(site_route())
    released(line, verdict=verdict)
    assert line.parcels("compute") == []
    assert line.vault.asked.n_slides_waiting() == 0


def test_answers_of_site_servers_come_back_to_their_place(lines):
    line = lines(site_route())
    released(line)
    line.answer("compute", mean_colour)
    line.join()
    status = line.status("slide-a")
    assert (status.stage, status.state, status.revision) == (Stage.INFER, State.WAITING, 2)
    assert status.verdict is Verdict.ACCEPT
    _, placed = line.claim_again("slide-a")
    (answers,) = placed.values()
    assert (answers.n_tiles, answers.cell_px, answers.side_px) == (16, 128, 128)
    with deid_reader(line, "slide-a") as reader:
        sampler = Sampler(reader, 0.5)
        places = zip(answers.rows_px.tolist(), answers.columns_px.tolist(), strict=True)
        local = [mean_colour(sampler.region(*place, 128, 128)) for place in places]
    assert np.array_equal(answers.values, np.array(local, np.float32))


def test_maps_of_an_outside_recipient_are_turned_back_upright(lines):
    line = lines(asking_route())
    released(line, maps={})
    for _ in line.parcels("research"):
        line.answer("research", picture)
    line.join()
    _, placed = line.claim_again("slide-a")
    answers = placed["research"]
    assert answers.values.shape[1:] == (192, 192, 3)
    assert len(answers.values) == answers.n_tiles == 16
    with deid_reader(line, "slide-a") as reader:
        for row, column, values in zip(
            answers.rows_px.tolist(), answers.columns_px.tolist(), answers.values, strict=True
        ):
            upright = reader.region(0, row, column, 192, 192) / 255
            assert np.abs(upright - values).mean() < 0.03  # JPEG was between them
            assert np.abs(upright - np.rot90(values)).mean() > 0.03


@pytest.mark.parametrize("turn", range(8))
def test_every_turn_is_undone(turn):
    pixels = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    assert np.array_equal(turned_back(turned(pixels, turn).astype(np.float32), turn), pixels)


def test_a_slide_is_asked_about_once_and_its_parcels_are_posted_once(lines):
    line = lines(site_route())
    released(line)
    line.answer("compute", mean_colour)
    line.join()
    line.walk_on("slide-a")
    assert len(line.parcels("compute")) == 1
    assert line.journal.parcels.claim("compute") is None
    line.join()
    assert line.status("slide-a").revision == 2


def test_a_recipient_of_bare_reports_gets_the_same_one_once(lines):
    line = lines(INSIDE, outside_sr_route(), site_route())
    line.bring("slide-a", maps=few_tissue())
    assert line.work()
    while line.status("slide-a").state is not State.DONE:
        for route in ("pacs", "registry"):
            claim = line.journal.parcels.claim(route)
            line.journal.parcels.delivered(claim, words="Sent.")
    line.answer("compute", mean_colour)
    line.join()
    line.walk_on("slide-a", state=State.WAITING)
    assert (len(line.parcels("pacs")), len(line.parcels("registry"))) == (2, 1)


def test_a_release_that_was_killed_posts_the_same_bytes_again(lines):
    line = lines(site_route())
    line.bring("slide-a", maps=few_tissue())

    def killed(work):
        line.release()(work)
        raise StorageFull("killed before the commit")

    assert line.work(killed)
    line.journal.operate("retry", "slide-a", operator="test")
    (first,) = line.root.outbox("compute").glob("*@*/*.tar")
    content = first.read_bytes()
    assert line.work()
    (folder,) = line.parcels("compute")
    assert folder != first.parent
    assert (folder / first.name).read_bytes() == content


def test_a_sample_is_asked_about_though_its_release_was_killed_in_between(lines, monkeypatch):
    line = lines(asking_route())
    line.bring("slide-a")
    sample = Vault.sample

    def killed(self, *arguments, **named):
        sample(self, *arguments, **named)
        raise StorageFull("killed after the sample")

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "sample", killed)
        assert line.work()
    assert line.vault.asked.asked("slide-a", "research") is None
    line.journal.operate("retry", "slide-a", operator="test")
    assert line.work()
    assert line.vault.asked.asked("slide-a", "research").n_tiles == 16
    assert "answers about 16 tiles are waited for" in line.events("stage-done")[-1]


def test_a_daily_limit_cuts_smaller_parcels_and_the_rest_waits(lines):
    line = lines(site_route() | {"limits": {"tiles_per_day": 6}})
    released(line)
    assert sorted(len(line.sent(folder)) for folder in line.parcels("compute")) == [4, 6, 6]
    waiting = [one for one in line.journal.parcels.pending("compute") if one.next_try_at]
    assert len(waiting) == 2


def test_a_limit_that_changes_while_answers_are_waited_for_sends_nothing_twice(lines):
    line = lines(site_route())
    released(line)
    line.answer("compute", mean_colour)
    line.join()
    line.close()
    line = SidingLine(line.path, [site_route() | {"limits": {"tiles_per_day": 5}}])
    line.walk_on("slide-a")
    assert len(line.parcels("compute")) == 1
    line.close()


def test_large_tiles_leave_in_parcels_that_memory_can_hold(lines, monkeypatch):
    monkeypatch.setattr(site_route_module, "_PIXEL_BYTES_A_PARCEL", 7 * 3 * 512**2)
    line = lines(site_route(tile_px=512), site_route("larger", tile_px=1536))
    class_map = np.ones((128, 128), np.uint8)
    class_map[:, 96:] = class_map[96:] = 0  # 12 of 16 tiles a side
    released(line, maps={"class_map.png": class_map})
    assert sorted(len(line.sent(folder)) for folder in line.parcels("compute")) == [2, 7]
    assert [len(line.sent(folder)) for folder in line.parcels("larger")] == [1]


def test_the_screen_is_told_how_many_slides_wait(lines):
    line = lines(site_route())
    assert line.siding().words == "0 slides waiting for answers"
    released(line)
    assert line.siding().words == "1 slide waiting for answers"
    assert any("answers are waited for" in text for text in line.events("stage-done"))
    line.answer("compute", mean_colour)
    line.join()
    assert line.siding().words == "0 slides waiting for answers"
    assert line.events("answered") == ["Answers of model servers came back on route compute."]
    assert "16 of 16 tiles on route compute" in line.events("rejoined")[0]


def test_routes_add_to_a_slide_one_after_the_other(lines):
    line = lines(site_route("compute"), site_route("second", tile_px=256))
    released(line)
    line.answer("compute", mean_colour)
    line.join()
    line.answer("second", mean_colour)
    line.join()
    assert line.status("slide-a").revision == 2  # the slide is still on its way with the first
    line.walk_on("slide-a")
    line.join()
    assert line.status("slide-a").revision == 3
    _, placed = line.claim_again("slide-a")
    assert list(placed) == ["second"]
    assert len(placed["second"].values) == 4


def test_routes_that_answered_meanwhile_are_joined_together(lines):
    line = lines(site_route("compute"), site_route("second", tile_px=256))
    released(line)
    line.answer("compute", mean_colour)
    line.answer("second", mean_colour)
    line.join()
    _, placed = line.claim_again("slide-a")
    assert sorted(placed) == ["compute", "second"]


# Some tiles are not answered.


def partly(lines):
    """A slide of 16 tiles, 8 of which are answered."""
    line = lines(asking_route())
    released(line, maps={})
    line.answer("research", mean_colour)
    return line


def test_a_slide_waits_for_all_its_tiles_until_its_patience_ends(lines):
    line = partly(lines)
    line.join()
    line.now += REPORT_AFTER_S - 1
    line.join()
    assert line.status("slide-a").revision == 1
    line.now += 1
    line.join()
    assert line.status("slide-a").revision == 2
    _, placed = line.claim_again("slide-a")
    assert (len(placed["research"].values), placed["research"].n_tiles) == (8, 16)


def test_what_comes_after_that_makes_one_more_report(lines):
    line = partly(lines)
    line.join()
    line.now += REPORT_AFTER_S
    line.join()
    line.walk_on("slide-a")
    line.join()
    assert line.status("slide-a").revision == 2  # nothing new came
    line.answer("research", mean_colour)
    line.join()
    _, placed = line.claim_again("slide-a")
    assert line.status("slide-a").revision == 3
    assert len(placed["research"].values) == 16


def test_servers_that_answer_tile_by_tile_make_few_reports(lines, monkeypatch):
    monkeypatch.setattr(site_route_module, "_PIXEL_BYTES_A_PARCEL", 3 * 128**2)
    line = lines(site_route())
    released(line)
    for _ in range(15):
        line.answer("compute", mean_colour)
        line.join()
        line.now += REPORT_AFTER_S
        line.join()
        if line.status("slide-a").stage is Stage.INFER:
            line.walk_on("slide-a")
    assert len(line.events("rejoined")) == 3
    line.answer("compute", mean_colour)
    line.join()
    assert len(line.events("rejoined")) == 4
    _, placed = line.claim_again("slide-a")
    assert len(placed["compute"].values) == 16


# The slide has gone on meanwhile.


@pytest.mark.parametrize("action", ["hold", "set_aside"])
def test_a_slide_that_is_held_or_aside_takes_its_answers_when_it_is_done(lines, action):
    line = lines(site_route())
    line.bring("slide-a", maps=few_tissue())
    assert line.work()
    line.answer("compute", mean_colour)
    with line.journal._engine.begin() as connection:  # as if its report were still on its way
        connection.exec_driver_sql("UPDATE slide SET state = 'waiting'")
    line.journal.operate(action, "slide-a", operator="test")
    line.join()
    assert line.status("slide-a").revision == 1
    assert line.placed_folders() == set()
    line.journal.operate("retry", "slide-a", operator="test")
    line.join()
    assert line.status("slide-a").revision == 2


def test_answers_about_images_that_were_replaced_are_dropped(lines):
    line = lines(site_route())
    released(line)
    line.answer("compute", mean_colour)
    line.journal.new_revision("slide-a", actor="node", last_byte_at=2.0)
    line.journal.operate("resume", "slide-a", operator="test")
    line.join()
    assert line.status("slide-a").revision == 2  # waits: the new images may never come
    line.walk_anew("slide-a")
    line.join()
    assert line.status("slide-a").revision == 2
    assert len(line.parcels("compute")) == 2
    line.answer("compute", mean_colour)
    line.join()
    assert line.status("slide-a").revision == 3


def test_answers_about_images_that_are_gone_are_dropped(lines):
    line = lines(site_route())
    released(line)
    line.answer("compute", mean_colour)
    folder = line.root.zone("deid") / line.journal.board.folder("slide-a", Stage.DEIDENTIFY)
    folder.rename(folder.with_name("elsewhere"))
    line.join()
    assert line.status("slide-a").revision == 1
    assert line.events("answers-dropped") == [
        "Answers of model servers are about images that are gone."
    ]
    assert line.vault.asked.with_news() == ()


def test_png_tiles_carry_nothing_but_pixels(lines):
    line = lines(site_route())
    released(line)
    (folder,) = line.parcels("compute")
    (path,) = folder.glob("*.tar")
    with tarfile.open(path) as tar:
        content = tar.extractfile(next(one for one in tar if one.name.endswith(".png"))).read()
    assert Image.open(io.BytesIO(content)).info == {}
