"""How full the disk was, every few minutes, so that the screen can tell when it will be full."""

from typing import Final

from sqlalchemy import delete, insert

from appliance.stores.journal_rows import SlideRows
from appliance.stores.journal_schema import disk_samples

KEPT_S: Final = 7 * 86_400.0


class Samples(SlideRows):
    """What is measured of the machine."""

    def sample_disk(self, *, free_bytes: int, total_bytes: int) -> None:
        """Note how full the disk is now, and forget what is older than a week."""
        now = self._clock()
        with self._engine.begin() as connection:
            connection.execute(delete(disk_samples).where(disk_samples.c.at < now - KEPT_S))
            connection.execute(
                insert(disk_samples).values(at=now, free_bytes=free_bytes, total_bytes=total_bytes)
            )
