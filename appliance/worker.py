"""The worker loop: claim a slide at one stage, let a handler fill a folder, publish, move on.

The worker needs no knowledge of stages. It sorts what can go wrong by what happens next: back on
the line, set aside, or (a bug) die and be restarted.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from appliance.errors import IncompleteSlide, LeaseLost, RejectedError, TransientError
from appliance.line import DAEMONS, ZONES, Claim, Outcome, Stage
from appliance.logs import about_slide
from appliance.pausing import NODE, Pausing
from appliance.storage import (
    Root,
    discard,
    plain_folder,
    private_folder,
    publish,
    start_publication,
    storage_errors,
    sweep,
)
from appliance.stores.journal import Journal, Product

log = logging.getLogger(__name__)

SHORTEST_RETRY_S = 1.0
FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 600.0
PROGRESS_EVERY_S = 0.5
SWEEP_EVERY_S = 60.0
_CHANCE = random.SystemRandom().random

C = TypeVar("C")


class Work:
    """One claimed slide as a handler sees it.

    Attributes
    ----------
    claim
        What is held.
    output
        Empty private folder to fill; the worker makes it durable and names it.
    """

    def __init__(self, *, claim: Claim, journal: Journal, root: Root, output: Path) -> None:
        self.claim = claim
        self.output = output
        self._journal = journal
        self._root = root
        self._shown_at = 0.0

    def product(self, stage: Stage) -> Product:
        """Find what an earlier stage published for this revision, and when."""
        return self._journal.product(self.claim, stage)

    def folder(self, stage: Stage) -> Path:
        """Find the published folder of an earlier stage for this revision."""
        return self._root.zone(ZONES[stage]) / self.product(stage).folder

    def placed(self) -> Path | None:
        """Find the answers of model servers that the slide came back with; None when it did not.

        One folder a route, each as `appliance.answers.write_placed` leaves it.

        Raises
        ------
        IdentityDoubt
            The journal names a folder that is not this slide's.
        IncompleteSlide
            It names one that release never filled.
        """
        name = self._journal.placed(self.claim)
        if name is None:
            return None
        folder = self._root.path / "placed" / plain_folder(name, self.claim.slide_id)
        if not folder.is_dir():
            raise IncompleteSlide("The answers that this slide came back with are missing.")
        return folder

    def earlier_findings(self) -> Path | None:
        """Find the findings of the newest earlier revision of the slide; None when they are gone.

        Raises
        ------
        IdentityDoubt
            The journal names a folder that is not this slide's.
        """
        slide_id = self.claim.slide_id
        name = self._journal.board.earlier_findings(slide_id, self.claim.revision)
        if name is None:
            return None
        folder = self._root.zone(ZONES[Stage.INFER]) / plain_folder(name, slide_id)
        return folder if folder.is_dir() else None

    def superseded_report(self) -> Path | None:
        """Find the folder of the report that this revision's report takes the place of.

        None where there is none, or not any more.
        """
        found = self._journal.board.superseded_report(self.claim.slide_id, self.claim.revision)
        if found is None:
            return None
        slide_id, name = found
        folder = self._root.zone(ZONES[Stage.REPORT]) / plain_folder(name, slide_id)
        return folder if folder.is_dir() else None

    def progress(self, fraction: float, words: str = "") -> None:
        """Show how far the stage is, at most twice a second."""
        now = time.monotonic()
        if now - self._shown_at >= PROGRESS_EVERY_S:
            self._shown_at = now
            self._journal.progress(self.claim, min(1.0, max(0.0, fraction)), words)


Handler = Callable[[Work], Outcome]


class Worker:
    """Works one stage.

    Parameters
    ----------
    journal
        Where slides are claimed.
    root
        The zones.
    stage
        The stage to work.
    handle
        Fills `Work.output` and says what was found. May raise any ApplianceError.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        root: Root,
        stage: Stage,
        handle: Handler,
    ) -> None:
        self._journal = journal
        self._root = root
        self._stage = stage
        self._handle = handle
        self._swept_at = float("-inf")
        self._is_paused = Pausing(journal, DAEMONS[stage])

    def step(self) -> bool:
        """Work on one slide; False when none waits, or the daemon is paused."""
        if time.monotonic() - self._swept_at >= SWEEP_EVERY_S:
            self.sweep()
            self._swept_at = time.monotonic()
        # A paused node takes no new slides; those that it took are put together.
        if DAEMONS[self._stage] != NODE and self._is_paused():
            return False
        claim = self._journal.claim(self._stage)
        if claim is None:
            return False
        with about_slide(claim.slide_id):
            self._work(claim)
        return True

    def _work(self, claim: Claim) -> None:
        started = time.monotonic()
        part = private_folder(self._zone(), claim.folder)
        published = part
        try:
            with self._swept_is_lost(part):
                outcome = self._fill(claim)
                published = publish(part) if self._stage in ZONES else part
            self._journal.advance(claim, outcome)
        except LeaseLost:
            discard(published)
            log.warning("the %s stage lost its lease; its result was thrown away", self._stage)
        except TransientError as error:
            discard(part)  # never the published folder: the commit may have named it
            wait_s = retry_after_s(self._journal.retries(claim))
            self._journal.put_back(claim, error, after_s=wait_s)
            log.warning("%s: %s Tried again in %.0f s.", self._stage, error, wait_s)
        except RejectedError as error:
            discard(part)
            self._journal.set_aside(claim, error)
            log.warning("%s: set aside: %s", self._stage, error)
        else:
            if self._stage not in ZONES:
                discard(part)
            log.info("%s: done in %.1f s", self._stage, time.monotonic() - started)

    def _fill(self, claim: Claim) -> Outcome:
        """Let the handler fill the private folder while the lease is renewed."""
        part = start_publication(self._zone(), claim.folder)
        work = Work(claim=claim, journal=self._journal, root=self._root, output=part)
        renewed = renewing(self._journal.renew, claim, self._journal.lease_s)
        with storage_errors(), renewed:
            return self._handle(work)

    @contextmanager
    def _swept_is_lost(self, part: Path) -> Iterator[None]:
        """Tell a lost lease from a bug: who was paused past it may find its folder swept."""
        try:
            yield
        except FileNotFoundError as error:
            if part.exists():
                raise
            raise LeaseLost(f"The {self._stage} stage lost its lease and its folder.") from error

    def sweep(self) -> tuple[str, ...]:
        """Remove folders of this stage that the journal does not name and no lease may fill."""
        entries = {zone: list(zone.iterdir()) for zone in self._swept_zones()}
        live = self._journal.live_tokens()
        board = self._journal.board
        removed: list[str] = []
        for zone, listed in entries.items():
            if self._stage is Stage.RELEASE:
                named = board.named_parcels(zone.name)
            else:
                named = board.named_folders(self._stage)
            removed += sweep(listed, named=named, live_tokens=live)
        return tuple(removed)

    def _swept_zones(self) -> list[Path]:
        """Zones that only this stage publishes into."""
        if self._stage is Stage.RELEASE:
            # What else lies there, a file or a link, is nobody's parcel and leads nowhere.
            found = self._root.zone("outbox").iterdir()
            outboxes = [one for one in found if one.is_dir() and not one.is_symlink()]
            return [*outboxes, self._zone()]
        names = ("original", "sealed") if self._stage is Stage.ASSEMBLE else (ZONES[self._stage],)
        return [self._root.zone(name) for name in names]

    def _zone(self) -> Path:
        """Zone that the stage publishes into; release works in a scratch zone of its own."""
        return self._root.zone(ZONES.get(self._stage, f"vault/{self._stage}"))


def retry_after_s(retries: int, chance: Callable[[], float] = _CHANCE) -> float:
    """Seconds to wait after so many tries: by chance, up to a limit that doubles, with a cap.

    So those who failed together do not come back together (full jitter).

    Parameters
    ----------
    retries
        How often it was tried before.
    chance
        Gives a number from 0 up to 1, excluding 1.
    """
    limit_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(retries, 20))
    return max(SHORTEST_RETRY_S, chance() * limit_s)


@contextmanager
def renewing(renew: Callable[[C], None], claim: C, lease_s: float) -> Iterator[None]:
    """Renew a lease in the background three times a lease while the block runs.

    When the lease is lost the renewing stops silently: the commit at the end will say so.
    """
    stop = threading.Event()

    def keep() -> None:
        while not stop.wait(lease_s / 3):
            try:
                renew(claim)
            except LeaseLost:
                return
            except TransientError as error:
                log.warning("the lease was not renewed this time: %s", error)

    thread = threading.Thread(target=keep, name="renew-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
