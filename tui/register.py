"""The slides as they were read last, and how they are kept up to date with few reads.

All versions are compared at first and every minute or so; in between only those touched since the
newest that was seen, with some seconds of slack: clocks of several hosts differ, and a commit may
come late.
"""

from collections.abc import Mapping

from appliance.line import DeliveryStatus, SlideStatus
from appliance.stores.slide_reading import SlideReading, Version, touched_at
from tui.tally import Tally, tally

MOST_SLIDES = 20_000
"""The newest so many are shown."""
ALL_EVERY_S = 60.0
SLACK_S = 5.0


class Register:
    """The slides of one journal.

    Parameters
    ----------
    board
        The journal's reader.
    """

    def __init__(self, board: SlideReading) -> None:
        self._board = board
        self._versions: dict[str, Version] = {}
        self._shards_version: tuple[int, float] | None = None
        self._all_read_at: float | None = None
        self._newest_at = 0.0
        self.slides: tuple[SlideStatus, ...] = ()
        """The newest first; the same object while nothing has changed."""
        self.shards: tuple[DeliveryStatus, ...] = ()
        self.tally: Tally = tally()

    def read(self, now: float) -> None:
        """Bring the slides up to date.

        Parameters
        ----------
        now
            Seconds since the epoch.
        """
        if self._all_read_at is None or not 0.0 <= now - self._all_read_at < ALL_EVERY_S:
            versions = self._board.versions(newest=MOST_SLIDES)
            self._all_read_at = now
            # One that could not be read may have been mended, which changes no version.
            self._versions = {one: self._versions[one] for one in self.tally.by_id}
        else:
            # A clock that is ahead must not hide what others write.
            touched = self._board.versions_since(min(self._newest_at, now) - SLACK_S)
            new = {one: touched[one] for one in touched if one not in self._versions}
            versions = new | self._versions | touched
        self._merge(versions)
        self._read_shards()
        if not self.tally.is_of(self.slides, self.shards):
            self.tally = tally(self.slides, self.shards)

    def _merge(self, versions: Mapping[str, Version]) -> None:
        """Read the slides whose version is another, and forget those that have none."""
        old = self._versions
        changed = [one for one, version in versions.items() if old.get(one) != version]
        if not changed and len(versions) == len(old):
            return
        read = {slide.slide_id: slide for slide in self._board.read_slides(changed)}
        known = self.tally.by_id
        again = frozenset(changed)
        found = (read.get(one) if one in again else known.get(one) for one in versions)
        self.slides = tuple(slide for slide in found if slide is not None)
        self._versions = dict(versions)
        touched = [touched_at(versions[one]) for one in changed]
        self._newest_at = max([self._newest_at, *touched])

    def _read_shards(self) -> None:
        version = self._board.shards_version()
        if version != self._shards_version:
            self.shards = self._board.shards()
            self._shards_version = version
