"""The second step of release: collect answers, put them onto their slide, send it on again.

One process at a time works here. Each step may be killed anywhere: what was begun is written down
in the vault first, and the journal's commit decides whether it counts.
"""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final

from anonymizer.siding.collecting import collect
from anonymizer.siding.placing import place
from appliance.answers import PlacedAnswers, write_placed
from appliance.errors import IdentityDoubt, RejectedError, TransientError
from appliance.line import SIDING, ZONES, SlideStatus, Stage, State
from appliance.settings import Settings
from appliance.storage import (
    PRIVATE_FOLDER_MODE,
    Root,
    publish,
    start_publication,
    storage_errors,
    sweep,
)
from appliance.stores.journal import Journal
from appliance.stores.vault import Vault
from appliance.stores.vault_asked import Asking, Awaited, Kept
from appliance.worker import SWEEP_EVERY_S

log = logging.getLogger(__name__)

_MOST_EARLY_JOININGS: Final = 3
"""Each makes a report; servers that answer tile by tile would make as many as there are tiles."""
_ZONE: Final = "placed"
_DONE: Final = (Stage.DELIVER, State.DONE)


class Siding:
    """What release does with answers.

    Parameters
    ----------
    settings
        Which routes ask model servers; the journal can name no other.
    root
        The zones.
    vault
        What was asked, and what was said.
    journal
        Names the folders of answers; takes slides back to infer.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        root: Root,
        vault: Vault,
        journal: Journal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._routes = {one.name: one for one in settings.routes if one.kind == "model_servers"}
        self._root = root
        self._vault = vault
        self._journal = journal
        self._clock = clock
        self._swept_at = float("-inf")
        self._doubted: set[Asking] = set()

    @property
    def words(self) -> str:
        """Say how many slides wait for answers; empty when no route asks for any."""
        if not self._routes:
            return ""
        waiting = self._vault.asked.n_slides_waiting()
        return f"{waiting} slide{'' if waiting == 1 else 's'} waiting for answers"

    def step(self) -> bool:
        """Take answers in, and send slides on; False when there was nothing to do.

        Raises
        ------
        TransientError
            What the vault says of askings was altered, or the disk is full; nothing was lost.
        """
        if not self._routes:
            return False
        try:
            return self._work()
        except IdentityDoubt as error:  # the vault was altered: nothing is joined until it is well
            raise TransientError(f"Answers cannot be joined. {error}") from error

    def _work(self) -> bool:
        with _alone(self._root.zone(_ZONE)) as ours:
            if not ours:
                return False
            self._end_begun()  # first, since answers that come in now were not in what was begun
            self._ask_anew()
            collected = self._collect()
            joined = self._join()
            self._sweep()
        return collected or joined

    def _ask_anew(self) -> None:
        """Let release sign anew what the site's servers are to be asked, where it may not leave."""
        for route in self._routes.values():
            if route.place == "site" and self._journal.parcels.lost_tiles(route.name):
                self._journal.ask_anew(route.name, self._vault.asked.waiting(route.name))

    # Answers come in.

    def _collect(self) -> bool:
        waiting = self._journal.parcels.answered()
        for answered in waiting:
            try:
                kept = collect(
                    answered,
                    root=self._root,
                    routes=self._routes,
                    vault=self._vault,
                    now=self._clock(),
                )
            except IdentityDoubt:
                raise  # of the vault, not of the answers
            except RejectedError as error:
                self._refuse(f"Answers of model servers were not believed. {error}")
            else:
                self._tell(answered.route, kept)
            self._journal.parcels.collected(answered)
        return bool(waiting)

    def _tell(self, route: str, kept: Kept) -> None:
        for slide_id in sorted(kept.slides):
            words = f"Answers of model servers came back on route {route}."
            self._journal.note(SIDING, "answered", words, slide_id=slide_id)
        if kept.n_refused:
            self._refuse(
                f"Route {route}: what model servers said of {kept.n_refused} tiles was not "
                "believed: they were not asked, or said other things before, or said more than "
                "can be joined."
            )

    def _refuse(self, words: str) -> None:
        log.warning("%s", words)
        self._journal.note(SIDING, "answers-refused", words)

    # Slides go on.

    def _end_begun(self) -> None:
        """End a joining that a kill cut off: it counts when the journal names its folder."""
        begun = [one for one in self._vault.asked.with_news() if one.folder is not None]
        named = self._journal.board.named_folders(SIDING) if begun else frozenset()
        for one in begun:
            if one.folder in named:
                self._vault.asked.joined(one.asking, n_placed=one.n_answered)
            else:
                self._vault.asked.not_joined(one.asking)

    def _join(self) -> bool:
        news = sorted(self._vault.asked.with_news(), key=lambda one: one.asking.slide_id)
        joined = False
        for slide_id, awaited in groupby(news, key=lambda one: one.asking.slide_id):
            status = self._journal.board.slide(slide_id)
            due = tuple(one for one in awaited if self._is_due(one) and self._is_fresh(one, status))
            ready = status is not None and (status.stage, status.state) == _DONE
            if due and status is not None and ready:
                self._join_slide(status, due)
                joined = True
        return joined

    def _join_slide(self, status: SlideStatus, due: tuple[Awaited, ...]) -> None:
        """Publish what was answered of a slide, and take the slide back to infer."""
        placed = {one: answers for one in due if (answers := self._placed(one)) is not None}
        if not placed:
            return
        folder = f"{status.slide_id}@{secrets.token_hex(8)}"
        for one in placed:
            self._vault.asked.begin_joining(one.asking, folder)
        self._publish(placed.values(), folder)
        note = _note(tuple(placed))
        self._journal.rejoin(status.slide_id, revision=status.revision, folder=folder, note=note)
        self._end_begun()

    def _placed(self, one: Awaited) -> PlacedAnswers | None:
        """Place the answers of a route; None when they were given up, or wait for a whole vault."""
        try:
            tiles = self._vault.asked.tiles(one.asking)
            return place(one, tiles, self._vault.asked.answers(one.asking))
        except IdentityDoubt as error:
            self._doubt(one, error)
            return None
        except RejectedError as error:
            self._give_up(one, f"Answers of model servers are not joined. {error}")
            return None

    def _publish(self, placed: Iterable[PlacedAnswers], folder: str) -> None:
        part = start_publication(self._root.zone(_ZONE), folder)
        with storage_errors():
            for answers in placed:
                (part / answers.route).mkdir(mode=PRIVATE_FOLDER_MODE)
                write_placed(part / answers.route, answers)
        publish(part)

    def _is_due(self, one: Awaited) -> bool:
        """Whether all tiles were answered, or the first answer has waited long enough.

        What was doubted waits for the next start: a vault is restored while nobody holds it.
        """
        route = self._routes.get(one.asking.route)
        if one.asking in self._doubted:
            return False
        if one.n_answered >= one.asking.n_tiles or route is None or route.model is None:
            return True
        if one.n_joined >= _MOST_EARLY_JOININGS:
            return False
        waits_since = one.first_answer_at or 0.0
        return self._clock() >= waits_since + route.model.report_after_s

    def _is_fresh(self, one: Awaited, status: SlideStatus | None) -> bool:
        """Whether the slide still has the images that were asked about; give up what is not."""
        asking = one.asking
        present = self._journal.board.folder(asking.slide_id, Stage.DEIDENTIFY)
        there = (self._root.path / ZONES[Stage.DEIDENTIFY] / asking.source).is_dir()
        if status is not None and present == asking.source and there:
            return True
        self._give_up(one, "Answers of model servers are about images that are gone.")
        return False

    def _give_up(self, one: Awaited, words: str) -> None:
        self._vault.asked.abandon(one.asking)
        log.warning("%s", words)
        self._journal.note(SIDING, "answers-dropped", words, slide_id=one.asking.slide_id)

    def _doubt(self, one: Awaited, error: IdentityDoubt) -> None:
        """Keep answers whose rows of the vault were altered, and say so once."""
        self._doubted.add(one.asking)
        words = f"Answers on route {one.asking.route} are kept and not joined. {error}"
        log.warning("%s", words)
        self._journal.note(SIDING, "answers-doubted", words, slide_id=one.asking.slide_id)

    def _sweep(self) -> None:
        if time.monotonic() - self._swept_at < SWEEP_EVERY_S:
            return
        self._swept_at = time.monotonic()
        entries = list(self._root.zone(_ZONE).iterdir())
        sweep(entries, named=self._journal.board.named_folders(SIDING), live_tokens=())


def _note(due: tuple[Awaited, ...]) -> str:
    told = ", ".join(
        f"{one.n_answered} of {one.asking.n_tiles} tiles on route {one.asking.route}" for one in due
    )
    return f"Answers of model servers are joined: {told}. Another report follows."


@contextmanager
def _alone(zone: Path) -> Iterator[bool]:
    """Hold the zone, unless another process does; the hold ends with the process."""
    descriptor = os.open(zone, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
