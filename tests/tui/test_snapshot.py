import dataclasses

from appliance.attention import Attention, attention, is_stuck
from appliance.line import Heartbeat, Stage, State, Verdict
from appliance.settings import Settings
from tui.health import SILENT_S, alarms, daemons_of, route_states
from tui.snapshot import Disk, Snapshot


def test_a_slide_that_was_scanned_again_asks_for_nothing(literal_line: Snapshot):
    old = literal_line.slides[0]
    new = dataclasses.replace(
        old, slide_id="again", verdict=Verdict.ACCEPT, supersedes=old.slide_id
    )
    line = dataclasses.replace(literal_line, slides=(old, new))
    need = attention(old, now=line.at, is_superseded=old.slide_id in line.superseded)
    assert need is Attention.DONE


def test_a_slide_whose_worker_is_silent_is_stuck(literal_line: Snapshot):
    running = next(slide for slide in literal_line.slides if slide.state is State.RUNNING)
    assert not is_stuck(running, literal_line.at)
    assert is_stuck(running, literal_line.at + 120)


def test_a_slide_that_was_tried_in_vain_many_times_is_stuck(literal_line: Snapshot):
    waiting = next(slide for slide in literal_line.slides if slide.state is State.WAITING)
    assert is_stuck(dataclasses.replace(waiting, retries=7), literal_line.at)


def test_all_is_well_when_every_daemon_beats_and_the_disk_has_room(
    literal_line: Snapshot, settings: Settings
):
    calm = dataclasses.replace(literal_line, slides=literal_line.slides[-2:])
    assert alarms(calm, settings, now=calm.at) == ()


def test_a_silent_daemon_is_named_with_a_next_step(literal_line: Snapshot, settings: Settings):
    beats = tuple(
        dataclasses.replace(beat, at=beat.at - 120) if beat.daemon == "infer" else beat
        for beat in literal_line.heartbeats
    )
    line = dataclasses.replace(literal_line, heartbeats=beats)
    worst = alarms(line, settings, now=line.at)[0]
    assert worst.sentence == "The infer daemon was last seen 2 min ago."
    assert "coverslip-infer" in worst.next_step


def test_when_no_daemon_beats_it_is_said_once(literal_line: Snapshot, settings: Settings):
    found = alarms(literal_line, settings, now=literal_line.at + 2 * SILENT_S)
    assert [alarm.sentence for alarm in found if "daemon" in alarm.sentence] == [
        "No daemon is running: the line stands still."
    ]


def test_a_full_disk_is_worse_than_a_nearly_full_one(literal_line: Snapshot, settings: Settings):
    storage = settings.storage.model_copy(update={"soft_free_gib": 50.0, "hard_free_gib": 10.0})
    tight = settings.model_copy(update={"storage": storage})

    def tone(free_gib: int) -> list[str]:
        disk = Disk(free_bytes=free_gib << 30, total_bytes=100 << 30)
        line = dataclasses.replace(literal_line, slides=(), disk=disk)
        return [alarm.tone for alarm in alarms(line, tight, now=line.at)]

    assert (tone(80), tone(30), tone(5)) == ([], ["warn"], ["bad"])


def test_a_route_counts_its_parcels_and_tells_its_trouble(
    literal_line: Snapshot, settings: Settings
):
    pacs, registry, research = route_states(literal_line, settings)
    assert (pacs.arrived, pacs.waiting, pacs.refused) == (3, 1, 0)
    assert registry.error is None
    assert (research.arrived, research.waiting) == (0, 0)


def test_every_stage_and_every_route_has_its_daemon(settings: Settings):
    daemons = daemons_of(settings)
    assert len(set(daemons)) == len(daemons)
    assert {"node", "anonymize", "infer", "release"} <= set(daemons)
    assert {f"deliver@{route.name}" for route in settings.routes} <= set(daemons)
    assert len(daemons) < len(Stage) + len(settings.routes)


def test_a_receiver_of_notices_that_fails_is_said(literal_line: Snapshot, settings: Settings):
    words = "webhook takes no notices, 3 wait: The receiver does not answer at its address."
    beat = Heartbeat(daemon="notify", at=literal_line.at, pid=1, words=words)
    told = dataclasses.replace(literal_line, heartbeats=(*literal_line.heartbeats, beat))
    new = set(alarms(told, settings, now=told.at)) - set(
        alarms(literal_line, settings, now=told.at)
    )
    assert [alarm.sentence for alarm in new] == [f"Notices do not arrive: {words}"]
