"""What the system screen says, card by card: values in, text out."""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import pytest
from textual.content import Content

from appliance.facts import Facts, Gpu, OpenAssociation, Probe, RouteQueue
from appliance.line import Heartbeat, Pause, Stage, State
from appliance.settings import Settings
from tests.tui.conftest import NOW, slide
from tests.tui.literal_facts import VERSION, literal_archive, literal_facts, literal_samples, told
from tui.health import alarms
from tui.panels import line as line_panels
from tui.panels import machine as machine_panels
from tui.panels import system as system_panels
from tui.panels import versions as version_panels
from tui.panels.daemons import daemons
from tui.panels.intake import scanners
from tui.panels.routes import routes
from tui.snapshot import Disk, Snapshot
from tui.system_facts import SystemFacts
from tui.view import View

GIB = 1 << 30
Draw = Callable[[View, int], Content]
SCANNERS = [
    {"name": name, "ae_title": name.upper(), "addresses": ["127.0.0.0/8"]}
    for name in ("scanner-a", "scanner-b")
]


@pytest.fixture
def with_scanners(settings: Settings) -> Settings:
    return Settings.model_validate(settings.model_dump(mode="json") | {"scanners": SCANNERS})


@pytest.fixture
def view(with_scanners: Settings, literal_line: Snapshot) -> View:
    line = replace(literal_line, disk_samples=literal_samples(NOW))
    return View(settings=with_scanners, snapshot=line, now=NOW, system=literal_facts(NOW))


def said(draw: Draw, view: View, width: int = 66) -> str:
    return draw(view, width).plain


def knowing(view: View, daemon: str, facts: Facts) -> View:
    """Let a daemon tell something else."""
    assert view.system is not None
    answers = dict(view.system.told) | {daemon: told(daemon, NOW, memory_mib=100, facts=facts)}
    return replace(view, system=replace(view.system, told=MappingProxyType(answers)))


@pytest.mark.parametrize("width", [61, 75, 96, 135])
@pytest.mark.parametrize("name", system_panels.CARDS)
def test_no_card_is_wider_than_its_room(view: View, name: str, width: int):
    drawn = system_panels.CARDS[name](view, width)
    assert max(line.cell_length for line in drawn.split()) <= width


@pytest.mark.parametrize("name", system_panels.CARDS)
def test_every_card_says_something_before_anything_is_known(settings: Settings, name: str):
    nothing = View(settings=settings, snapshot=None, now=NOW)
    assert said(system_panels.CARDS[name], nothing).strip()


def test_the_disk_says_when_it_is_full(view: View):
    assert "It fills by 64 GB a day: full in about 14 days." in said(machine_panels.disk, view)
    assert "812 GiB free of 1,800 GiB" in said(machine_panels.disk, view)


def test_a_disk_that_is_full_soon_is_an_alarm(view: View):
    assert view.alarms == ()
    soon = replace(view.snapshot, disk=Disk(free_bytes=90 * GIB, total_bytes=1800 * GIB))
    (alarm,) = alarms(soon, view.settings, now=NOW)
    assert alarm.sentence == "The disk fills: new transfers are put off in about 36 hours."
    assert alarm.tone == "warn"


def test_the_machine_says_what_is_busy_and_what_models_run_on(view: View):
    rows = [" ".join(row.split()) for row in said(machine_panels.machine, view).splitlines()]
    assert rows[0].endswith("42 % of 16 cores")
    assert rows[1].endswith("24 % 31 GiB of 128 GiB")
    assert rows[2].endswith("83 % NVIDIA L4, 6 GiB of 24 GiB")
    assert rows[3] == "Models run on the GPU: ONNX Runtime 1.31.0, 15 workers."


def test_a_gpu_whose_driver_tells_nothing_is_still_named(view: View):
    computing = view.system.of("infer").computing if view.system else None
    assert computing is not None
    silent = knowing(view, "infer", Facts(computing=replace(computing, gpus=())))
    assert "NVIDIA" not in said(machine_panels.machine, silent)
    assert "Models run on the GPU" in said(machine_panels.machine, silent)
    two = (*computing.gpus, Gpu(name="B", busy_share=1, memory_used_bytes=0, memory_total_bytes=1))
    both = knowing(view, "infer", Facts(computing=replace(computing, gpus=two)))
    assert said(machine_panels.machine, both).count("GPU  ") == 2


def test_the_line_says_what_waits_and_what_went_through(view: View):
    rows = said(line_panels.queues, view).splitlines()
    assert rows[0].endswith("1 receiving")
    assert rows[1].endswith("1 waiting · 1 set aside")
    assert rows[3].endswith("empty")
    came, _, arrived, legend = said(line_panels.throughput, view).splitlines()
    assert "█" in came
    assert came.endswith(" in 24 h")
    assert "547 in 24 h" in arrived
    assert legend.startswith("One bar is ")


def test_a_daemon_says_since_when_it_runs_and_one_that_does_not_answer_says_so(view: View):
    rows = [" ".join(row.split()) for row in said(daemons, view).splitlines()]
    assert rows[0] == f"● node just now up 3 d 222 MB {VERSION}"
    assert "The deliver@registry daemon does not answer." in rows
    gone = tuple(
        replace(beat, at=NOW - 300) if beat.daemon == "infer" else beat
        for beat in view.snapshot.heartbeats
    )
    silent = said(daemons, replace(view, snapshot=replace(view.snapshot, heartbeats=gone)))
    (row,) = [row for row in silent.splitlines() if "infer" in row]
    assert " ".join(row.split()) == "✕ infer 5 min ago"


def test_a_daemon_says_what_it_is_and_what_it_could_not_tell(view: View):
    beats = (Heartbeat(daemon="node", at=NOW, pid=1, words="listening on port 11112"),)
    answers = {"node": replace(view.system.told["node"], lacks="The receipts do not answer.")}
    lacking = replace(
        view,
        snapshot=replace(view.snapshot, heartbeats=beats),
        system=replace(view.system, told=answers),
    )
    told_of_node = said(daemons, lacking).splitlines()[:3]
    assert [row.strip() for row in told_of_node[1:]] == [
        "listening on port 11112",
        "The receipts do not answer.",
    ]


def paused(view: View, *daemons: str, reason: str = "PACS is moved") -> View:
    pauses = tuple(
        Pause(daemon=daemon, at=NOW - 300, operator="anna", reason=reason) for daemon in daemons
    )
    return replace(view, snapshot=replace(view.snapshot, pauses=pauses, counted=None))


def test_who_paused_what_and_why_stands_at_the_daemon_the_route_and_above(view: View):
    moved = paused(view, "deliver@pacs")
    assert "‖ deliver@pacs" in said(daemons, moved)
    assert "paused 5 min ago by anna: PACS is moved" in said(daemons, moved)
    assert "‖ paused 5 min ago by anna: PACS is moved" in said(routes, moved)
    (alarm,) = moved.alarms
    assert alarm.sentence == "Route pacs was paused 5 min ago by anna (PACS is moved)."
    (other,) = paused(view, "infer", reason="").alarms
    assert other.sentence == "The infer daemon was paused 5 min ago by anna."


def test_a_drained_node_says_when_it_is_safe_to_switch_off(view: View):
    (busy,) = paused(view, "node", reason="").alarms
    assert busy.sentence == "No slides are taken: drained 5 min ago by anna."
    assert busy.next_step == "Wait: 3 slides still on the line."
    waits = slide("a", Stage.DELIVER, State.WAITING)
    quiet = replace(view, snapshot=replace(view.snapshot, slides=(waits,), counted=None))
    (safe,) = paused(quiet, "node").alarms
    assert safe.next_step == (
        "The line is empty: it is safe to switch off; 1 slide will be delivered afterwards."
    )
    empty = replace(view, snapshot=replace(view.snapshot, slides=(), counted=None))
    (safe,) = paused(empty, "node").alarms
    assert safe.next_step == "The line is empty: it is safe to switch off."


def test_scanners_say_their_last_contact_and_transfers_their_speed(view: View):
    rows = [" ".join(row.split()) for row in said(scanners, view).splitlines()]
    assert rows[0] == "↓ scanner-a last 12 s ago 1,204 objects, 86 GB in 24 h"
    assert rows[1] == "transfer 5f0c9a 412 MB in 11 s 38.4 MB/s"
    assert rows[2] == "scanner-b nothing yet"
    assert " ".join(rows[3:]) == (
        "Storage commitment: 3 requests open (1 not decided, 2 decided, whose answer no scanner "
        "has taken); the oldest was asked 3 min ago."
    )


def test_a_transfer_of_nobody_in_the_settings_is_not_lost(view: View):
    stranger = OpenAssociation(name="abcdef012345", scanner="WEB", since=NOW - 2, n_bytes=1000)
    rows = said(scanners, knowing(view, "node", Facts(associations=(stranger,)))).splitlines()
    assert rows[-2] == "others"
    assert "transfer abcdef  1.0 kB in 2.0 s" in rows[-1]


def test_settings_without_a_scanner_say_that_nobody_can_send(settings: Settings, view: View):
    nobody = replace(view, settings=settings)
    assert said(scanners, nobody) == "The settings name no scanner: nobody can send slides."


def test_a_route_says_when_it_is_tried_again_and_what_its_peer_answered(view: View):
    rows = [" ".join(row.split()) for row in said(routes, view, 76).splitlines()]
    assert rows[:4] == [
        "pacs report, segmentation to hospital, inside, by DICOM",
        "3 arrived (11 min ago) · 1 waiting · 0 refused",
        "tried again in 40 s",
        "✓ probe 1 min ago: PACS answered C-ECHO in 12 ms",
    ]
    failed = Probe(at=NOW - 5, well=False, words="It does not answer.", took_s=5.0)
    refused = RouteQueue(
        waiting=0, refused=2, next_try_at=None, error=None, refusal="It is no report."
    )
    away = said(routes, knowing(view, "deliver@pacs", Facts(route=refused, probe=failed)))
    assert "✕ refused: It is no report." in away
    assert "✕ probe just now: It does not answer." in away


def test_an_archive_says_how_many_originals_it_lacks(view: View):
    archive = " ".join(said(routes, knowing(view, "deliver@pacs", literal_archive(NOW))).split())
    assert "14 objects (3.2 GB) waiting · 9 unconfirmed · 1 refused" in archive
    assert "tried again in 1:15 The archive did not accept the association." in archive


def test_models_say_where_they_run_and_keys_how_old_they_are(view: View):
    models = [" ".join(row.split()) for row in said(version_panels.models, view).splitlines()]
    assert models[0] == f"tissue 1 GPU {'a' * 12} tissue"
    assert models[2] == f"metastasis 1 at clinic {'c' * 12} tiles"
    keys = [" ".join(row.split()) for row in said(version_panels.keys, view).splitlines()]
    assert keys == [
        f"sign {'4be1' * 4} 184 d old",
        f"vault {'90cd' * 4} 2 d old, 1 earlier key too",
        f"pseudonym {'77aa' * 4} age not known",
    ]


def test_a_daemon_that_did_not_tell_is_named_instead(view: View):
    silent = {"infer": "The infer daemon does not answer."}
    nothing = replace(view, system=SystemFacts(at=NOW, silent=silent))
    assert said(version_panels.models, nothing) == "The infer daemon does not answer."
    assert said(version_panels.keys, nothing) == "The release daemon did not tell its keys."


def test_a_daemon_of_another_version_is_to_be_restarted(view: View):
    assert "Restart" not in said(version_panels.software, view)
    assert "journal 0004, receipts 0002, vault 0005" in said(version_panels.software, view)
    old = replace(view.system.told["infer"], version="0.0.9")
    differs = replace(view, system=replace(view.system, told=dict(view.system.told, infer=old)))
    words = " ".join(said(version_panels.software, differs).split())
    assert "! Restart these daemons, which run another version: infer 0.0.9." in words
