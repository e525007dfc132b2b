"""The journal: which slide is where, who holds it, and what its stages published.

Claims are leases: a claim names its holder by a token, and every later word of that holder
counts only while the token is still the slide's and the lease has not run out. So a holder that
was paused past its lease can do no harm, and a slide whose holder died is claimed again.

The journal is untrusted: every daemon can write it, so nothing in it may widen what leaves.
"""

import time

from sqlalchemy import Engine

from appliance.stores.arrivals import Arrivals
from appliance.stores.claims import MAX_ATTEMPTS, Claims, Product
from appliance.stores.journal_rows import Clock
from appliance.stores.needs import Needs
from appliance.stores.operations import Operations
from appliance.stores.samples import Samples

__all__ = ["LEASE_S", "MAX_ATTEMPTS", "Journal", "Product"]

LEASE_S = 30.0


class Journal(Arrivals, Claims, Needs, Operations, Samples):
    """Slides on the line.

    Parameters
    ----------
    engine
        From `appliance.stores.database.open_engine(url, store="journal")`.
    clock
        Seconds since the epoch.
    lease_s
        How long a claim lives without being renewed.
    """

    def __init__(
        self, engine: Engine, clock: Clock = time.time, *, lease_s: float = LEASE_S
    ) -> None:
        super().__init__(engine, clock, lease_s=lease_s)
