"""A batch: every slide of a folder down the temporary line, two at a time, each to its end.

While one is judged the next is sent and de-identified.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from appliance.errors import ApplianceError, ConfigError, InvalidInstance, RejectedError
from appliance.line import SlideStatus
from appliance.offline.line import Sending, TemporaryLine
from appliance.offline.method import Method
from appliance.offline.private_folder import private_folder
from appliance.offline.results import Result, Results
from appliance.offline.sources import SourceSlide, find_slides, name_of
from appliance.temporary import LOOK_EVERY_S

Progress = Callable[[int, int, float], None]
"""Told how many slides of how many are done, and which share of all bytes."""

_AT_ONCE: Final = 2


def analyze_folder(
    source: Path, target: Path, method: Method, progress: Progress, *, again: bool = False
) -> list[Result]:
    """Judge every slide among the files of a folder, or of one file.

    A slide that is refused leaves no results, and the others go on; one that is there already,
    made in the same way, is left as it is unless `again`.

    Raises
    ------
    ConfigError
        A folder, the settings, keys or models cannot be used.
    PeerUnavailable
        The temporary line does not start.
    """
    if target.resolve().is_relative_to(source.resolve()):
        raise ConfigError("The folder to write to lies inside the folder to read; name another.")
    found = find_slides(source)
    results = Results(target, method.digest(), private=method.restore)
    batch = _Batch(found.slides, results, progress)
    damaged = [
        Result(places=(place,), error=InvalidInstance("The header of a DICOM file is damaged."))
        for place in found.damaged
    ]
    with ExitStack() as ending:
        waiting = batch.waiting(again=again)
        first = next(waiting, None)
        if first is not None:
            folder = ending.enter_context(private_folder())
            line = ending.enter_context(TemporaryLine(folder, method))
            batch.run(line, first, waiting)
    return damaged + batch.results


class _Batch:
    """The slides of one run and what became of them so far."""

    def __init__(self, slides: Sequence[SourceSlide], target: Results, progress: Progress) -> None:
        self._slides = slides
        self._target = target
        self._progress = progress
        self._sizes = [slide.size_bytes or 1 for slide in slides]
        self._shares = [0.0] * len(slides)
        self._made: dict[int, list[Result]] = {}

    @property
    def results(self) -> list[Result]:
        """What became of the slides, in their order."""
        return [one for number in sorted(self._made) for one in self._made[number]]

    def waiting(self, *, again: bool) -> Iterator[tuple[int, str]]:
        """Give number and digest of each slide that has to be done, when its turn comes."""
        seen: set[str] = set()
        for number, slide in enumerate(self._slides):
            digest = slide.digest()
            folders = None if again else self._target.there(name_of(digest), digest)
            if digest in seen:
                self._end(number, [])  # the same files once more
            elif folders is not None:
                made = (self._result(number, folder=one, was_there=True) for one in folders)
                self._end(number, list(made))
            else:
                yield number, digest
            seen.add(digest)

    def run(
        self, line: TemporaryLine, first: tuple[int, str], rest: Iterator[tuple[int, str]]
    ) -> None:
        """Send slides, look how they fare, and take what came of them, until none is left."""
        following: tuple[int, str] | None = first
        under_way: dict[tuple[int, str], Sending] = {}
        while following is not None or under_way:
            sending = any(not one.settled for one in under_way.values())
            if following is not None and not sending and len(under_way) < _AT_ONCE:
                number, digest = following
                under_way[following] = line.send(self._slides[number], name_of(digest))
                following = next(rest, None)
            for key, one in list(under_way.items()):
                if self._look(line, key, one):
                    del under_way[key]
            time.sleep(LOOK_EVERY_S)

    def _look(self, line: TemporaryLine, key: tuple[int, str], sending: Sending) -> bool:
        """Look how a slide fares; whether it is at its end."""
        number, digest = key
        try:
            if not line.follow(sending):
                return False
        except RejectedError as error:
            self._finish(number, digest, [self._result(number, error=error)])
            return True
        slides = line.slides()
        mine = [slides[one] for one in sorted(sending.ids)]
        self._shares[number] = min(line.share(one) for one in mine)
        self._tell()
        if not all(line.ended(sending, one) for one in mine):
            return False
        self._finish(number, digest, list(self._taken(line, key, sending, mine)))
        return True

    def _taken(
        self,
        line: TemporaryLine,
        key: tuple[int, str],
        sending: Sending,
        ended: Sequence[SlideStatus],
    ) -> Iterator[Result]:
        """Take what came of the files that were sent together: mostly one slide."""
        number, digest = key
        for part, status in enumerate(ended, start=1):
            name = name_of(digest) if part == 1 else f"{name_of(digest)}-{part}"
            refusal = line.refusal(sending, status)
            if refusal is not None:
                yield self._result(number, error=refusal)
            else:
                folder = self._target.publish(name, line.products(status.slide_id))
                yield self._result(number, folder=folder)
            line.forget(status.slide_id)

    def _result(
        self,
        number: int,
        *,
        folder: Path | None = None,
        was_there: bool = False,
        error: ApplianceError | None = None,
    ) -> Result:
        return Result(
            places=self._slides[number].places,
            name="" if folder is None else folder.name,
            folder=folder,
            was_there=was_there,
            error=error,
        )

    def _finish(self, number: int, digest: str, made: list[Result]) -> None:
        self._target.note(name_of(digest), digest, made)
        self._end(number, made)

    def _end(self, number: int, made: list[Result]) -> None:
        self._made[number] = made
        self._shares[number] = 1.0
        self._tell()

    def _tell(self) -> None:
        done = sum(size * share for size, share in zip(self._sizes, self._shares, strict=True))
        self._progress(len(self._made), len(self._slides), done / sum(self._sizes))
