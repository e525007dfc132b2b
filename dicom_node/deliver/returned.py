"""What came back from model servers: published for release, and swept once it has it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.answers import Answers, write_answers
from appliance.daemon import Step
from appliance.line import ParcelClaim
from appliance.storage import publish, start_publication, storage_errors, sweep
from appliance.stores.journal import Journal
from appliance.worker import SWEEP_EVERY_S
from dicom_node.model_servers import kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The answers of one route.

    Attributes
    ----------
    folder
        `answers/<route>/`.
    """

    folder: Path

    def publish(self, claim: ParcelClaim, answers: Answers) -> str:
        """Write answers under the name of a claim, which no other claim has; give that name.

        Raises
        ------
        StorageFull
            The disk is full.
        """
        name = f"{answers.parcel_id}@{claim.token}"
        part = start_publication(self.folder, name)
        with storage_errors():
            write_answers(part, answers)
        publish(part)
        return name

    def forget(self, parcel_id: str) -> None:
        """Forget what was kept of a parcel on its way: the journal knows that it arrived."""
        kept.forget(self.folder, parcel_id)

    def sweep(self, journal: Journal, route: str, *, now: float) -> None:
        """Remove what release has collected, and what was kept of parcels that are no more."""
        entries = list(self.folder.iterdir())
        open_parcels = {one.parcel_id for one in journal.parcels.pending(route)}
        for entry in entries:
            if entry.suffix == kept.SUFFIX and entry.stem not in open_parcels:
                entry.unlink(missing_ok=True)
        sweep(
            entries,
            named=journal.board.named_answers(route),
            live_tokens=journal.board.live_parcel_tokens(now),
        )


def sweeping(
    returned: Returned, journal: Journal, route: str, *, clock: Callable[[], float] = time.time
) -> Step:
    """Give the step of a daemon that sweeps at its start, and then about once a minute."""
    swept_at = float("-inf")

    def step() -> bool:
        nonlocal swept_at
        now = clock()
        if now - swept_at >= SWEEP_EVERY_S:
            swept_at = now
            returned.sweep(journal, route, now=now)
        return False

    return step
