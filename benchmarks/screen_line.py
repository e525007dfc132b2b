"""A busy line for the screen to follow: a journal with many slides, and a process that writes it.

`python -m benchmarks.screen_line SETTINGS.toml RATE` takes slides over the line by the journal's
own calls, so many commits a second, beats for every daemon, and answers for the release daemon at
its control socket, until it is stopped. It prints how many commits it made.
"""

import itertools
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert

from appliance.control import Command, ControlServer, Operator
from appliance.daemon import open_journal, slide_actions
from appliance.errors import PeerUnavailable
from appliance.line import Mark, Outcome, Parcel, Role, Stage, State, Verdict
from appliance.settings import Settings, load
from appliance.storage import Root
from appliance.stores.journal import Journal
from appliance.stores.journal_schema import parcels, slides
from tui.health import daemons_of

ROUTES: Final = ("pacs", "registry")
SETTINGS: Final = """
[storage]
root = "{root}/site"
soft_free_gib = 0.002
hard_free_gib = 0.001

[keys]
folder = "{root}/site/keys"

[[routes]]
name = "pacs"
recipient = "hospital"
place = "inside"
kind = "dimse"
carries = ["SR", "SEG"]
addresses = ["127.0.0.0/8"]
peer = {{ ae_title = "PACS", host = "127.0.0.1", port = 11113 }}

[[routes]]
name = "registry"
recipient = "registry"
place = "outside"
kind = "folder"
carries = ["outside_sr"]
folder = "{root}/registry"
policy = {{ mechanism = "bare_report", statement = "The bare report tells areas of artifacts." }}
"""
_OLDEST_S: Final = 14 * 86_400.0
_AT_ONCE: Final = 24
_BEAT_EVERY_S: Final = 2.0
_REASONS: Final = {
    Verdict.ACCEPT: "The tissue is clean and in focus.",
    Verdict.RESCAN: "31 % of the tissue is out of focus, most of it at the lower edge.",
    Verdict.REVIEW: "9 % of the tissue is folded.",
}


def seed(settings: Settings, n_slides: int) -> None:
    """Fill a journal with the slides of the last two weeks, most of them done."""
    journal = open_journal(settings)
    now = time.time()
    slide_rows, parcel_rows = [], []
    dice = random.Random(1)  # noqa: S311
    for number in range(n_slides):
        came_at = now - 600 - _OLDEST_S * number / n_slides
        slide = _slide_row(number, came_at, dice)
        slide_rows.append(slide)
        if slide["stage"] is Stage.DELIVER:
            parcel_rows += [_parcel_row(str(slide["slide_id"]), route, came_at) for route in ROUTES]
    with journal._engine.begin() as connection:  # noqa: SLF001  a whole line in one commit
        connection.execute(insert(slides), slide_rows)
        connection.execute(insert(parcels), parcel_rows)


def _slide_row(number: int, came_at: float, dice: random.Random) -> dict[str, object]:
    verdict = dice.choices(list(_REASONS), weights=(94, 3, 3))[0]
    settled = verdict is not Verdict.ACCEPT and number > 200  # noqa: PLR2004  older ones
    stopped = dice.random() < 0.004  # noqa: PLR2004  some wait for a person
    return {
        "slide_id": slide_id(number),
        "revision": 1,
        "scanner": f"scanner-{'abc'[number % 3]}",
        "stage": Stage.INFER if stopped else Stage.DELIVER,
        "state": dice.choice((State.ASIDE, State.HELD)) if stopped else State.DONE,
        "attempts": 0,
        "retries": 0,
        "progress": 0.0,
        "words": "",
        "verdict": None if stopped else verdict,
        "reason": None if stopped else _REASONS[verdict],
        "created_at": came_at,
        "last_byte_at": came_at + 40,
        "verdict_at": None if stopped else came_at + 62,
        "updated_at": came_at + 80,
        "mark": Mark.DONE if settled else None,
        "marked_at": came_at + 4000 if settled else None,
    }


def _parcel_row(slide: str, route: str, came_at: float) -> dict[str, object]:
    return {
        "parcel_id": f"{slide}-{route}",
        "route": route,
        "kind": "report" if route == "pacs" else "outside_sr",
        "folder": f"{slide}-{route}",
        "slide_id": slide,
        "state": State.DONE,
        "attempts": 1,
        "retries": 0,
        "created_at": came_at + 70,
        "updated_at": came_at + 80,
    }


def slide_id(number: int) -> str:
    """Give the opaque id of a slide; as long as real ones are."""
    return f"q{number:025d}"


def container(slide: str) -> str:
    """Give the container identifier of a slide."""
    number = int("".join(one for one in slide if one.isdigit()) or 0)
    return f"S26-{number:05d}-A1"


def walks(journal: Journal, numbers: Iterator[int]) -> Iterator[None]:
    """Take slides over the line one after the other; each step is one commit."""
    dice = random.Random(2)  # noqa: S311
    while True:
        slide = f"new{next(numbers):023d}"
        journal.add_slide(slide, scanner="scanner-a", last_byte_at=time.time())
        yield
        journal.complete(slide, actor="node", reason="all is there")
        yield
        for stage in list(Stage)[:-1]:
            claim = journal.claim(stage)
            yield
            if claim is None:
                continue
            for percent in range(5, 100, 5):
                journal.progress(claim, percent / 100, "artifacts")
                yield
            journal.advance(claim, _outcome(stage, claim.slide_id, dice))
            yield
        for route in ROUTES:
            given = journal.parcels.claim(route)
            yield
            if given is None:
                continue
            if dice.random() < 0.05:  # noqa: PLR2004  now and then a peer does not answer
                error = PeerUnavailable("The PACS did not accept the association.")
                journal.parcels.put_back(given, error, after_s=5)
            else:
                journal.parcels.delivered(given, words="It arrived.")
            yield


def _outcome(stage: Stage, slide: str, dice: random.Random) -> Outcome:
    if stage is Stage.INFER:
        verdict = dice.choice(list(Verdict))
        return Outcome(verdict=verdict, reason=_REASONS[verdict])
    if stage is Stage.RELEASE:
        made = (
            Parcel(
                parcel_id=f"{slide}-{one}", route=one, kind="report", folder=slide, slide_id=slide
            )
            for one in ROUTES
        )
        return Outcome(parcels=tuple(made))
    return Outcome()


def serve(settings: Settings, journal: Journal) -> ControlServer:
    """Answer for the release daemon: names of slides, as its own command does."""

    def identify(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked = arguments["slide_ids"]
        return {"slides": {one: {"container_identifier": container(one)} for one in asked}}

    commands = slide_actions(journal) | {"identify": Command(role=Role.VIEWER, run=identify)}
    socket = Root(settings.storage.root).socket("release")
    socket.parent.mkdir(parents=True, exist_ok=True)
    server = ControlServer(socket, commands, settings.operators)
    server.start()
    return server


def main(settings_file: str, rate: str) -> None:
    """Write so many commits a second until SIGTERM."""
    settings = load(Path(settings_file))
    journal = open_journal(settings)
    server = serve(settings, journal)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    numbers = itertools.count(1)
    under_way = [walks(journal, numbers) for _ in range(_AT_ONCE)]
    began = beat_at = time.monotonic()
    n_commits = 0
    while not stop.wait(max(0.0, began + n_commits / float(rate) - time.monotonic())):
        next(under_way[n_commits % len(under_way)])
        n_commits += 1
        if time.monotonic() - beat_at > _BEAT_EVERY_S:
            beat_at = time.monotonic()
            for daemon in daemons_of(settings):
                journal.heartbeat(daemon, pid=os.getpid(), words="")
    server.close()
    print(n_commits, time.monotonic() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
