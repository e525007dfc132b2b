"""Daily limits of a route: which day a parcel may leave on. Pure; the vault keeps what was chosen.

Release decides, from the vault's own record, and signs the day into the manifest; deliver sends
nothing before it. The pace within a day (`mb_s`) is deliver's.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from appliance.errors import PolicyRefused
from appliance.line import Parcel
from appliance.settings import Limits
from appliance.stores.vault_departures import NOTHING, Load

DAY_S: Final = 86_400.0
_BYTES_IN_MB: Final = 1_000_000


def day_of(now: float) -> int:
    """Give the days since the epoch, UTC."""
    return int(now // DAY_S)


def first_day(leaving: Mapping[int, Load], load: Load, limits: Limits, *, today: int) -> int:
    """Choose the first day from today on that has room for a parcel.

    Parameters
    ----------
    leaving
        By day, in days since the epoch: what leaves on it already.
    load
        The parcel.
    limits
        Of the route.
    today
        Days since the epoch.

    Raises
    ------
    PolicyRefused
        The parcel alone is more than the route may carry in a day.
    """
    if not _fits(load, limits):
        raise PolicyRefused("One parcel is more than the limits of this route allow in a day.")
    day = today
    while not _fits(leaving.get(day, NOTHING) + load, limits):
        day += 1
    return day


def waiting(parcels: Sequence[Parcel]) -> str:
    """Say in a sentence, after a blank, which parcels have to wait; empty when none has."""
    days = sorted(parcel.not_before for parcel in parcels if parcel.not_before is not None)
    if not days:
        return ""
    date = datetime.fromtimestamp(days[-1], tz=UTC).date().isoformat()
    return (
        f" The limit of this route for today is used up: {len(days)} of {len(parcels)} parcels "
        f"wait, the last one until {date} (UTC)."
    )


def _fits(load: Load, limits: Limits) -> bool:
    pairs = (
        (load.n_parcels, limits.parcels_per_day),
        (load.n_tiles, limits.tiles_per_day),
        (load.size_bytes / _BYTES_IN_MB, limits.mb_per_day),
    )
    return all(limit is None or amount <= limit for amount, limit in pairs)
