"""The siding believes nothing that it did not write down itself, and dies anywhere without harm."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import update

from anonymizer.siding import siding as siding_module
from appliance.answers import Answers
from appliance.errors import IdentityDoubt, IncompleteSlide, TransientError
from appliance.line import SIDING, Claim, Stage, State
from appliance.sealing import CellCipher
from appliance.stores import vault_asked
from appliance.stores.journal import Journal
from appliance.stores.parcels import Parcels
from appliance.stores.vault import Vault
from appliance.stores.vault_asked import AskedTiles
from appliance.stores.vault_schema import metadata
from appliance.stores.vault_upkeep import rewrite
from appliance.worker import Work
from tests.anonymizer.siding_line import SidingLine, asking_route, few_tissue, site_route

UNASKED = "f" * 32


@pytest.fixture
def lines(tmp_path):
    made = []

    def make(*routes):
        made.append(SidingLine(tmp_path / f"line-{len(made)}", list(routes)))
        return made[-1]

    yield make
    for line in made:
        line.close()


@pytest.fixture(scope="module")
def released_once(tmp_path_factory):
    """One slide of 16 small tiles, which servers of the site were asked about."""
    line = SidingLine(tmp_path_factory.mktemp("released"), [site_route()])
    line.bring("slide-a", maps=few_tissue())
    assert line.work()
    line.close()
    return line.path


@pytest.fixture
def line(released_once, tmp_path):
    path = shutil.copytree(released_once, tmp_path / "line")
    line = SidingLine(path, [site_route()])
    yield line
    line.close()


def mean_colour(pixels):
    return pixels.mean(axis=(0, 1)) / 255


def asked_tiles(line, slide_id="slide-a", route="compute"):
    return line.vault.asked.tiles(line.vault.asked.asked(slide_id, route))


def nothing_came(line):
    """Whether the slide still stands where its first report left it, told in one event."""
    line.join()
    assert line.journal.parcels.answered() == ()
    assert line.vault.asked.with_news() == ()
    assert line.named() == frozenset()
    return line.status("slide-a").revision == 1 and len(line.events("answers-refused")) == 1


# What the servers say, or whoever wrote it down.


def test_an_answer_about_a_tile_that_was_never_asked_is_not_believed(line):
    line.answer("compute", mean_colour, tile_ids=(UNASKED,), values=np.ones((1, 3), np.float32))
    assert nothing_came(line)


def test_an_answer_about_a_tile_of_another_route_is_not_believed(lines):
    line = lines(site_route(), site_route("second", tile_px=256))
    line.bring("slide-a", maps=few_tissue())
    assert line.work()
    theirs = asked_tiles(line, route="second")[0].tile_id
    line.answer("compute", mean_colour, tile_ids=(theirs,), values=np.ones((1, 3), np.float32))
    assert nothing_came(line)


def test_what_is_said_of_a_tile_first_stands(line):
    asking = line.vault.asked.asked("slide-a", "compute")
    some = tuple(tile.tile_id for tile in asked_tiles(line)[:2])
    parcel_id = line.answer(
        "compute", mean_colour, tile_ids=some, values=np.ones((2, 3), np.float32)
    )
    line.join()
    first = line.vault.asked.answers(asking)
    others = Answers(
        parcel_id=parcel_id, route="compute", tile_ids=some, values=np.zeros((2, 3), np.float32)
    )
    redeliver(line, parcel_id, others)
    line.join()
    assert line.vault.asked.answers(asking) == first
    assert "said of 2 tiles was not believed" in line.events("answers-refused")[0]


def redeliver(line, parcel_id, answers, name=None):
    """Name further answers to a parcel in the journal, as any daemon can."""
    folder = name or f"{parcel_id}@{'0' * 16}"
    if name is None:
        line.lay("compute", folder, answers)
    with line.journal._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE parcel SET answers = ?", (folder,))


def test_the_same_answers_twice_change_nothing(line):
    ids = tuple(tile.tile_id for tile in asked_tiles(line)[:2])
    values = np.ones((2, 3), np.float32)
    parcel_id = line.answer("compute", mean_colour, tile_ids=ids, values=values)
    line.join()
    (before,) = line.vault.asked.with_news()
    again = Answers(parcel_id=parcel_id, route="compute", tile_ids=ids, values=values)
    redeliver(line, parcel_id, again)
    line.join()
    assert line.vault.asked.with_news() == (before,)
    assert line.events("answers-refused") == []


def test_answers_of_another_shape_than_before_are_not_believed(line):
    first, second = (tile.tile_id for tile in asked_tiles(line)[:2])
    parcel_id = line.answer(
        "compute", mean_colour, tile_ids=(first,), values=np.ones((1, 3), np.float32)
    )
    line.join()
    wider = Answers(
        parcel_id=parcel_id,
        route="compute",
        tile_ids=(second,),
        values=np.ones((1, 4), np.float32),
    )
    redeliver(line, parcel_id, wider)
    line.join()
    (awaited,) = line.vault.asked.with_news()
    assert (awaited.n_answered, awaited.shape) == (1, (3,))
    assert len(line.events("answers-refused")) == 1


def test_maps_that_are_not_square_are_not_believed(line):
    line.answer("compute", lambda _: np.ones((2, 3, 2)))
    assert nothing_came(line)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_not_believed(line, value):
    line.answer("compute", lambda _: np.array([0.5, value]))
    assert nothing_came(line)


@pytest.mark.parametrize("tile_id", ["\ud800", "\ud800" * 32, "a\0b", "F" * 32])
def test_an_id_that_is_no_tiles_is_not_believed(line, tile_id):
    line.answer("compute", mean_colour, tile_ids=(tile_id,), values=np.ones((1, 3), np.float32))
    assert nothing_came(line)


def test_a_map_that_is_finer_than_its_tile_is_not_kept(line):
    line.answer("compute", lambda _: np.ones((129, 129, 1)))
    assert nothing_came(line)


@pytest.mark.parametrize(("most_bytes", "comes"), [(16 * 3 * 4 - 1, False), (16 * 3 * 4, True)])
def test_answers_that_could_never_be_joined_are_not_kept(line, monkeypatch, most_bytes, comes):
    """One of 16 tiles: were all so large, the slide would have to be given up."""
    monkeypatch.setattr(vault_asked, "MOST_BYTES", most_bytes)
    some = asked_tiles(line)[0].tile_id
    line.answer("compute", mean_colour, tile_ids=(some,), values=np.ones((1, 3), np.float32))
    line.join()
    assert [one.n_answered for one in line.vault.asked.with_news()] == [1] * comes
    assert len(line.events("answers-refused")) == (not comes)


@pytest.mark.parametrize("change", [{"route": "second"}, {"parcel_id": "p" * 26}])
def test_answers_that_call_themselves_anothers_are_not_believed(line, change):
    line.answer("compute", mean_colour, **change)
    assert nothing_came(line)


@pytest.mark.parametrize("what", ["folder", "answers.json", "values.bin"])
def test_no_link_among_answers_is_followed(line, tmp_path, what):
    line.answer("compute", mean_colour)
    (folder,) = line.root.answers("compute").glob("*@*")
    elsewhere = tmp_path / "elsewhere"
    path = folder if what == "folder" else folder / what
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)
    assert nothing_came(line)


@pytest.mark.parametrize("name", ["answers.json", "values.bin"])
def test_a_pipe_among_answers_holds_nobody_up(line, name):
    line.answer("compute", mean_colour)
    (folder,) = line.root.answers("compute").glob("*@*")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert nothing_came(line)


@pytest.mark.parametrize("facts", [b"[" * 100_000, b"[]", b"{}", b'{"tile_ids": [], "shape": -1}'])
def test_facts_that_are_none_are_not_believed(line, facts):
    line.answer("compute", mean_colour)
    (folder,) = line.root.answers("compute").glob("*@*")
    (folder / "answers.json").write_bytes(facts)
    assert nothing_came(line)


# What a hostile daemon writes into the journal.


def test_a_row_that_names_answers_of_another_parcel_is_not_believed(line):
    line.answer("compute", mean_colour)
    with line.journal._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE parcel SET parcel_id = 'slide-a'")
    assert nothing_came(line)


@pytest.mark.parametrize("name", ["../../vault", "/etc", "slide-a@1", "."])
def test_a_row_that_leads_elsewhere_is_not_believed(line, name):
    line.answer("compute", mean_colour)
    with line.journal._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE parcel SET answers = ?", (name,))
    assert nothing_came(line)


@pytest.mark.parametrize("route", ["nobody", "../answers/compute"])
def test_a_row_of_a_route_that_asks_nobody_is_not_believed(line, route):
    line.answer("compute", mean_colour)
    with line.journal._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE parcel SET route = ?", (route,))
    assert nothing_came(line)


def test_a_slide_that_was_never_asked_about_comes_back_with_nothing(lines):
    """A hostile row takes it back to infer, but there is no folder that release filled."""
    line = lines(site_route(), asking_route())
    line.bring("slide-a", maps=few_tissue())
    line.bring("slide-b", number=2, patient=2, maps=few_tissue())
    assert line.work()
    assert line.work()
    line.answer("compute", mean_colour)
    line.join()
    (name,) = line.placed_folders()
    own = f"slide-b@{'0' * 16}"
    assert line.journal.rejoin("slide-b", revision=1, folder=own, note="hostile")
    claim = Claim(slide_id="slide-b", revision=2, stage=Stage.INFER, token="", attempts=1)
    work = Work(claim=claim, journal=line.journal, root=line.root, output=line.path)
    with pytest.raises(IncompleteSlide, match="missing"):
        work.placed()
    with line.journal._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE product SET folder = ? WHERE stage = ?", (name, SIDING))
    with pytest.raises(IdentityDoubt, match="not this slide's"):
        work.placed()


def test_a_slide_that_is_not_done_does_not_come_back(line):
    with line.journal._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE slide SET state = 'waiting'")
    assert not line.journal.rejoin("slide-a", revision=1, folder="slide-a@1", note="early")
    assert line.status("slide-a").state is State.WAITING
    assert not line.journal.rejoin("slide-a", revision=2, folder="slide-a@1", note="early")


# Rows of the vault.


def test_answers_that_were_swapped_in_the_vault_are_not_joined(line):
    line.answer("compute", mean_colour)
    siding = line.siding()
    assert siding._collect()
    with line.vault._engine.begin() as connection:
        first, second = connection.exec_driver_sql("SELECT tile_id FROM answered LIMIT 2").scalars()
        swap = "UPDATE answered SET tile_id = ? WHERE tile_id = ?"
        for old, new in ((first, "x"), (second, first), ("x", second)):
            connection.exec_driver_sql(swap, (new, old))
    line.join()
    assert line.status("slide-a").revision == 1
    assert "kept and not joined" in line.events("answers-doubted")[0]
    assert line.events("answers-dropped") == []


@pytest.mark.parametrize("table", ["asked", "answered"])
def test_tiles_that_were_given_to_another_slide_in_the_vault_are_not_joined(line, table):
    line.bring("slide-b", number=2, patient=2, maps=few_tissue())
    assert line.work()
    line.answer("compute", mean_colour)
    siding = line.siding()
    assert siding._collect()
    with line.vault._engine.begin() as connection:
        connection.execute(update(metadata.tables[table]).values(slide_id="slide-b"))
        connection.exec_driver_sql(
            "UPDATE asking SET n_answered = 16, shape = '[3]', first_answer_at = 1 "
            "WHERE slide_id = 'slide-b'"
        )
    line.join()
    assert [line.status(slide_id).revision for slide_id in ("slide-a", "slide-b")] == [1, 1]


def test_terms_that_were_altered_in_the_vault_stop_the_siding_alone(line):
    line.answer("compute", mean_colour)
    with line.vault._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE asking SET terms = X'00'")
    with pytest.raises(TransientError, match="altered"):
        line.siding().step()
    line.bring("slide-b", number=2, patient=2, maps=few_tissue())
    assert line.work()
    assert line.status("slide-b").state is State.DONE


def test_answers_of_another_route_are_joined_all_the_same(lines):
    line = lines(site_route(), site_route("second", tile_px=256))
    line.bring("slide-a", maps=few_tissue())
    assert line.work()
    line.answer("compute", mean_colour)
    line.answer("second", mean_colour)
    assert line.siding()._collect()
    altered = "UPDATE answered SET answer = ? WHERE route = 'compute' AND tile_id = ?"
    with line.vault._engine.begin() as connection:
        a_row = "SELECT answer, tile_id FROM answered WHERE route = 'compute' LIMIT 1"
        whole = connection.exec_driver_sql(a_row).one()
        connection.exec_driver_sql(altered, (b"\0", whole.tile_id))
    line.join()
    assert [path.name for path in line.root.zone("placed").glob("*@*/*")] == ["second"]
    assert len(line.events("answers-doubted")) == 1
    assert line.vault.asked.n_slides_waiting() == 1
    with line.vault._engine.begin() as connection:  # as if the vault were restored
        connection.exec_driver_sql(altered, tuple(whole))
    line.walk_on("slide-a")
    line.join()
    _, placed = line.claim_again("slide-a")
    assert (list(placed), len(placed["compute"].values)) == (["compute"], 16)


def test_answers_in_doubt_are_told_once(line):
    line.answer("compute", mean_colour)
    siding = line.siding()
    assert siding._collect()
    with line.vault._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE answered SET answer = X'00'")
    while siding.step():
        pass
    assert not siding.step()
    assert len(line.events("answers-doubted")) == 1


def test_answers_open_with_the_key_that_comes_after(line):
    line.answer("compute", mean_colour)
    assert line.siding()._collect()
    asking = line.vault.asked.asked("slide-a", "compute")
    before = line.vault.asked.tiles(asking), line.vault.asked.answers(asking)
    both = CellCipher(key=bytes(range(32)), earlier=(line.keys.cipher.key,))
    rewrite(line.vault._engine, both, lambda _changed: None)
    after = Vault(line.vault._engine, CellCipher(key=both.key)).asked
    assert (after.tiles(asking), after.answers(asking)) == before


# Killed between any two steps.


class Killed(BaseException):
    """As a kill: nothing catches it."""


STEPS = [
    (AskedTiles, "keep"),
    (Parcels, "collected"),
    (AskedTiles, "begin_joining"),
    (siding_module, "start_publication"),
    (siding_module, "write_placed"),
    (siding_module, "publish"),
    (Journal, "rejoin"),
    (AskedTiles, "joined"),
]


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_siding_that_is_killed_anywhere_joins_once(line, monkeypatch, owner, name, where):
    line.answer("compute", mean_colour)
    whole = getattr(owner, name)

    def killed(*arguments, **named):
        if where == "after":
            whole(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, killed)
        with pytest.raises(Killed):
            line.join()
    line.join()
    assert line.status("slide-a").revision == 2
    assert len(line.events("rejoined")) == 1
    assert line.events("answers-refused") == []
    _, placed = line.claim_again("slide-a")
    assert len(placed["compute"].values) == 16
    assert line.placed_folders() == line.named()
    assert line.vault.asked.n_slides_waiting() == 0


def test_answers_that_come_while_a_joining_was_cut_off_are_not_lost(lines, monkeypatch):
    line = lines(asking_route())
    line.bring("slide-a")
    assert line.work()
    line.answer("research", mean_colour)
    line.join()
    line.now += 10_000
    with monkeypatch.context() as patched:
        patched.setattr(AskedTiles, "joined", lambda *_, **__: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            line.join()
    line.answer("research", mean_colour)
    line.walk_on("slide-a")
    line.join()
    assert line.status("slide-a").revision == 3
    _, placed = line.claim_again("slide-a")
    assert len(placed["research"].values) == 16


def test_what_was_asked_anew_meanwhile_is_not_given_up(line):
    earlier = line.vault.asked.asked("slide-a", "compute")
    anew = replace(earlier, source="slide-a@another")
    assert line.vault.asked.ask(anew, asked_tiles(line), now=1.0)
    line.vault.asked.abandon(earlier)
    line.vault.asked.joined(earlier, n_placed=16)
    assert line.vault.asked.n_slides_waiting() == 1
    assert len(line.vault.asked.tiles(anew)) == 16


def test_two_sidings_never_work_at_once(line):
    line.answer("compute", mean_colour)
    with siding_module._alone(line.root.zone("placed")) as ours:
        assert ours
        assert not line.siding().step()
    assert line.siding().step()
