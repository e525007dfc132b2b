"""The vault's record of departures: on which day each parcel may leave, for the daily limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from appliance.stores.vault_cells import DEPARTURE
from appliance.stores.vault_rows import Rows, missing, tallied
from appliance.stores.vault_schema import departures


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What leaves: of one parcel, or of one route on one day."""

    n_parcels: int = 1
    n_tiles: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(
            n_parcels=self.n_parcels + other.n_parcels,
            n_tiles=self.n_tiles + other.n_tiles,
            size_bytes=self.size_bytes + other.size_bytes,
        )


NOTHING: Final = Load(n_parcels=0)


class Departures(Rows):
    """Departures; a row that was altered or is missing raises IdentityDoubt."""

    def allot(
        self,
        parcel_id: str,
        route: str,
        load: Load,
        *,
        today: int,
        choose: Callable[[Mapping[int, Load]], int],
    ) -> int:
        """Give a parcel the day on which it may leave, once.

        Parameters
        ----------
        parcel_id, route, load
            The parcel. One that was given a day before keeps it.
        today
            Days since the epoch, UTC.
        choose
            Given what leaves on each day from today on, chooses one.

        Returns
        -------
        int
            Days since the epoch, UTC.
        """
        ours = (departures.c.parcel_id == parcel_id) & (departures.c.route == route)
        with self._engine.begin() as connection:
            row = connection.execute(select(departures).where(ours)).first()
            if row is not None:
                DEPARTURE.open(self._cipher, row)
                return int(row.day)
            day = choose(self._departing(connection, route, today))
            self._add_for_ever(
                connection,
                DEPARTURE,
                b"",
                buckets=[f"{route} {day}"],
                parcel_id=parcel_id,
                route=route,
                day=day,
                n_tiles=load.n_tiles,
                size_bytes=load.size_bytes,
            )
        return day

    def departing(self, route: str, *, today: int) -> Mapping[int, Load]:
        """Tell what leaves on a route on each day from today on."""
        with self._snapshot() as connection:
            return self._departing(connection, route, today)

    def _departing(self, connection: Connection, route: str, today: int) -> dict[int, Load]:
        counts = tallied(connection, departures, self._cipher)
        later = (departures.c.route == route) & (departures.c.day >= today)
        loads: dict[int, Load] = {}
        for row in connection.execute(select(departures).where(later)):
            DEPARTURE.open(self._cipher, row)
            load = Load(n_tiles=row.n_tiles, size_bytes=row.size_bytes)
            loads[row.day] = loads.get(row.day, NOTHING) + load
        expected = {
            int(day): n
            for name, _, day, n in ((*bucket.partition(" "), n) for bucket, n in counts.items())
            if name == route and int(day) >= today
        }
        if {day: load.n_parcels for day, load in loads.items()} != expected:
            raise missing(departures)
        return loads
