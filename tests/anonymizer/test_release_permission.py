"""A parcel whose permission to leave has ended: release signs it anew, or it is withdrawn."""

import pytest

from appliance.errors import PermissionEnded
from appliance.line import Stage, State
from appliance.manifest import verify
from tests.anonymizer.release_line import INSIDE, outside_sr_route
from tests.anonymizer.siding_line import SidingLine, few_tissue, site_route

EXPIRED_S = 31 * 86_400.0


@pytest.fixture
def line_of(tmp_path):
    """Give a line over the same stores, under other settings each time."""
    made = []

    def make(*routes, now=None):
        made.append(SidingLine(tmp_path, list(routes)))
        made[-1].now = made[-1].now if now is None else now
        return made[-1]

    yield make
    for line in made:
        line.close()


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.suffix != ".sig"}


def sent(line, route):
    """The products of the parcel that a route would send now, without its manifest."""
    claim = line.journal.parcels.claim(route)
    folder = line.root.outbox(route) / claim.parcel.folder
    manifest = verify(
        folder, route=line.settings.route(route), public_key=line.public_key, now=line.now
    )
    content = files_of(folder)
    del content["manifest.json"]
    line.journal.parcels.delivered(claim, words="Sent.")
    return claim.parcel.parcel_id, content, manifest


def refused(line, route):
    """Let a deliverer find that a parcel may not leave any more."""
    claim = line.journal.parcels.claim(route)
    folder = line.root.outbox(route) / claim.parcel.folder
    content = files_of(folder)
    del content["manifest.json"]
    settings = line.settings.route(route)
    with pytest.raises(PermissionEnded) as ended:
        verify(folder, route=settings, public_key=line.public_key, now=line.now)
    line.journal.parcels.set_aside(claim, ended.value)
    return claim.parcel.parcel_id, content


def test_an_expired_report_leaves_once_after_its_delivery_is_retried(line_of):
    line = line_of(INSIDE, outside_sr_route())
    line.bring("slide-a")
    assert line.work()
    line.now += EXPIRED_S
    before = {route: refused(line, route) for route in ("pacs", "registry")}
    assert line.journal.parcels.retry("pacs", operator="anna") == 1
    assert line.status("slide-a").stage is Stage.RELEASE
    assert line.work()
    for route in ("pacs", "registry"):
        parcel_id, content, manifest = sent(line, route)
        assert (parcel_id, content) == before[route]
        assert manifest.created_at == line.now
        assert line.journal.parcels.claim(route) is None
    assert line.status("slide-a").state is State.DONE
    assert len([one for one in line.events("parcel") if "registry" in one]) == 2  # each signature


def test_what_is_on_its_way_while_release_signs_anew_is_neither_lost_nor_doubled(line_of):
    line = line_of(INSIDE, outside_sr_route())
    line.bring("slide-a")
    assert line.work()
    line.now += EXPIRED_S
    refused(line, "pacs")
    line.journal.operate("retry", "slide-a", operator="anna")

    def meanwhile(work):
        outcome = line.release()(work)
        refused(line, "registry")  # after release looked, before its commit
        return outcome

    assert line.work(meanwhile)
    sent(line, "pacs")
    sent(line, "registry")
    assert line.status("slide-a").state is State.DONE
    line.journal.operate("set_aside", "slide-a", operator="anna", reason="A test.")
    line.journal.operate("retry", "slide-a", operator="anna")
    assert line.journal.parcels.claim("pacs") is line.journal.parcels.claim("registry") is None


def test_a_report_for_a_recipient_that_the_route_serves_no_more_is_withdrawn(line_of):
    line = line_of(INSIDE, outside_sr_route())
    line.bring("slide-a")
    assert line.work()
    line = line_of(INSIDE, outside_sr_route(recipient="another"))
    old, _ = refused(line, "registry")
    line.journal.operate("retry", "slide-a", operator="anna")
    assert line.work()
    new, _, manifest = sent(line, "registry")
    assert (new != old, manifest.recipient) == (True, "another")
    assert len(line.events("withdrawn")) == 1
    sent(line, "pacs")
    assert line.status("slide-a").state is State.DONE


def test_a_slide_that_a_person_stopped_stays_stopped_when_its_route_is_retried(line_of):
    line = line_of(INSIDE)
    line.bring("slide-a")
    assert line.work()
    line.now += EXPIRED_S
    refused(line, "pacs")
    line.journal.operate("hold", "slide-a", operator="anna")
    line.journal.parcels.retry("pacs", operator="anna")
    assert (line.status("slide-a").stage, line.status("slide-a").state) == (
        Stage.DELIVER,
        State.HELD,
    )
    line.journal.operate("retry", "slide-a", operator="anna")
    assert line.work()
    sent(line, "pacs")
    assert line.status("slide-a").state is State.DONE


@pytest.mark.parametrize(("tile_px", "n_tiles"), [(128, 16), (256, 4)])
def test_tiles_for_servers_of_the_site_are_asked_anew(line_of, tile_px, n_tiles):
    line = line_of(site_route())
    line.bring("slide-a", maps=few_tissue())
    assert line.work()
    now = line.now if tile_px != 128 else line.now + EXPIRED_S
    line = line_of(site_route(tile_px=tile_px), now=now)
    refused(line, "compute")
    line.join()
    assert line.status("slide-a").stage is Stage.RELEASE
    assert line.work()
    line.join()  # once is enough
    assert line.status("slide-a").state is State.DONE
    line.answer("compute", lambda pixels: pixels.mean(axis=(0, 1)) / 255)
    line.join()
    _, placed = line.claim_again("slide-a")
    assert placed["compute"].n_tiles == n_tiles
    assert line.journal.parcels.claim("compute") is None
