"""A temporary line: the appliance's own daemons in a private folder, for as long as a batch lasts.

Slides go in through the socket of its node. Nothing is delivered: results are taken from where the
stages published them.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from appliance.daemon import open_journal
from appliance.errors import ApplianceError, IncompleteSlide, RejectedError
from appliance.line import SlideStatus, Stage, State
from appliance.offline.method import RESTORED, Method, settings_text
from appliance.offline.sources import SourceSlide
from appliance.settings import load
from appliance.storage import Root
from appliance.stores.board import Board
from appliance.supervisor import Supervisor
from appliance.temporary import await_daemons, run_command, start_command, stop_command

RECEIVING_LIMIT_S = 60.0
"""A slide that is not complete so long after its last file never will be."""
STUCK_LIMIT_S = 600.0
"""A slide of which nothing was heard for so long is given up."""
MOST_RETRIES = 3
"""Nobody frees a disk or mends a GPU while a batch waits."""
_ZONES: Final = ("original", "sealed", "deid", "findings", "report")
_SHARE: Final = {
    Stage.ASSEMBLE: 0.05,
    Stage.DEIDENTIFY: 0.1,
    Stage.INFER: 0.25,
    Stage.REPORT: 0.85,
    Stage.RELEASE: 0.95,
    Stage.DELIVER: 1.0,
}
"""How much of a slide is done when a stage begins."""


class NotTaken(RejectedError):
    """The line's own node or the converter did not take a slide."""

    code = "not-taken"


@dataclass(slots=True, kw_only=True)
class Sending:
    """A slide on its way through the line."""

    slide: SourceSlide
    process: subprocess.Popen[bytes]
    errors: Path
    known: frozenset[str]
    """Slides that were on the line before."""
    sent_at: float | None = None
    ids: frozenset[str] = field(default=frozenset())
    """What came of it on the line: mostly one slide."""
    settled: bool = False
    """Whether the node knows all of it, so that the next may be sent."""
    moved_at: dict[str, tuple[SlideStatus, float]] = field(default_factory=dict)
    """What was last seen of each slide, and when that was new."""


class TemporaryLine:
    """The line, started; a context manager.

    Parameters
    ----------
    folder
        Private and empty; the caller removes it.
    method
        How slides are judged.
    """

    def __init__(self, folder: Path, method: Method) -> None:
        self._folder = folder
        self._method = method
        self._file = folder / "coverslip.toml"
        self._ending = ExitStack()
        self._number = 0

    def __enter__(self) -> Self:
        with ExitStack() as ending:
            self._start(ending)
            self._ending = ending.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.close()

    def _start(self, ending: ExitStack) -> None:
        keys = self._method.keys
        if keys is None:
            keys = self._folder / "keys"
            run_command(["keys", "init", "--folder", str(keys)])
        self.root = Root(self._folder / "line")
        text = settings_text(self._method, root=self.root.path, keys=keys)
        self._file.write_text(text, encoding="utf-8")
        self._supervisor = Supervisor(settings_file=self._file, quiet=True)
        ending.callback(self._supervisor.stop)
        daemons = ["node", "anonymize", "infer"] + ["release"] * self._method.restore
        for name in daemons:
            self._supervisor.start(name, (name,))
        await_daemons(self.root, self._supervisor)
        self._board: Board = open_journal(load(self._file)).board

    def send(self, slide: SourceSlide, name: str) -> Sending:
        """Begin to send a slide to the line's node, converting it on the way when it is a vendor's.

        Parameters
        ----------
        slide
            Its files.
        name
            Stands in for the patient of a vendor's file, which names none.
        """
        self._number += 1
        errors = self._folder / f"import-{self._number}.txt"
        files = [str(file) for file in slide.files]
        words = ["--settings", str(self._file), "import", *files]
        known = frozenset(self.slides())
        process = start_command([*words, "--patient-id", name], errors=errors)
        self._ending.callback(stop_command, process)
        return Sending(slide=slide, process=process, errors=errors, known=known)

    def slides(self) -> Mapping[str, SlideStatus]:
        """Give every slide on the line by its id, tending the daemons meanwhile.

        Raises
        ------
        ConfigError
            A daemon refuses its settings, keys or models.
        """
        self._supervisor.tend()
        return {slide.slide_id: slide for slide in self._board.snapshot()}

    def follow(self, sending: Sending) -> bool:
        """See whether a slide has arrived on the line; False while it is being sent.

        Raises
        ------
        NotTaken
            The converter or the node refused it.
        IncompleteSlide
            It was sent and never came.
        """
        if sending.process.poll() is None:
            return False
        if sending.process.returncode:
            raise NotTaken(_sentence(sending.errors))
        if sending.sent_at is None:
            sending.sent_at = time.monotonic()
        if not sending.settled:
            slides = self.slides()
            sending.ids = frozenset(slides) - sending.known
            receiving = (slides[one].state is State.RECEIVING for one in sending.ids)
            sending.settled = bool(sending.ids) and not any(receiving)
        if not sending.ids and time.monotonic() - sending.sent_at > RECEIVING_LIMIT_S:
            raise IncompleteSlide("The files were sent, and no slide came of them.")
        return bool(sending.ids)

    def ended(self, sending: Sending, status: SlideStatus) -> bool:
        """Whether a slide has come as far as it goes here, or will come no further."""
        return self._is_reported(status) or self.refusal(sending, status) is not None

    def refusal(self, sending: Sending, status: SlideStatus) -> ApplianceError | None:
        """Say why a slide is set aside; None when it is not."""
        waited_s = time.monotonic() - (sending.sent_at or time.monotonic())
        if status.state is State.RECEIVING and waited_s > RECEIVING_LIMIT_S:
            return IncompleteSlide("Something that belongs to the slide is not among the files.")
        if status.state is State.ASIDE or status.retries > MOST_RETRIES:
            return set_aside(status)
        seen, at = sending.moved_at.get(status.slide_id, (None, 0.0))
        if seen != status:
            sending.moved_at[status.slide_id] = (status, time.monotonic())
        elif time.monotonic() - at > STUCK_LIMIT_S:
            return RejectedError(f"Nothing was heard of the {status.stage} stage for too long.")
        return None

    def share(self, status: SlideStatus) -> float:
        """Give how much of the line a slide has walked, 0 to 1."""
        stages = list(Stage)
        begun = _SHARE[status.stage]
        following = stages[min(stages.index(status.stage) + 1, len(stages) - 1)]
        return begun + status.progress * (_SHARE[following] - begun)

    def products(self, slide_id: str) -> Iterator[Path]:
        """Give the files that came of a slide: report, findings, and the true identity if asked.

        A file with the true identity stands for the one with pseudonyms; no other DICOM object
        with pseudonyms is given beside it.
        """
        made = self._published(slide_id, Stage.REPORT) + self._published(slide_id, Stage.INFER)
        if not self._method.restore:
            yield from (file for file in made if file.name != "outside_sr.dcm")
            return
        yield from (file for file in made if file.suffix != ".dcm")
        for folder in self._parcels(slide_id):
            yield from folder.glob("*.dcm")

    def forget(self, slide_id: str) -> None:
        """Remove the files of a slide that came to its end, so that a batch needs little room."""
        folders = [one for zone in _ZONES for one in self.root.zone(zone).glob(f"{slide_id}@*")]
        for folder in (*folders, *self._parcels(slide_id)):
            shutil.rmtree(folder, ignore_errors=True)

    def _is_reported(self, status: SlideStatus) -> bool:
        stages = list(Stage)
        last = Stage.RELEASE if self._method.restore else Stage.REPORT
        return stages.index(status.stage) > stages.index(last) or status.state is State.DONE

    def _parcels(self, slide_id: str) -> list[Path]:
        outbox = self.root.outbox(RESTORED)
        deliveries = self.slides()[slide_id].deliveries
        return [one for parcel in deliveries for one in outbox.glob(f"{parcel.parcel_id}@*")]

    def _published(self, slide_id: str, stage: Stage) -> list[Path]:
        zone = {Stage.INFER: "findings", Stage.REPORT: "report"}[stage]
        folder = self._board.folder(slide_id, stage)
        return [] if folder is None else sorted((self.root.zone(zone) / folder).iterdir())


def set_aside(status: SlideStatus) -> ApplianceError:
    """Give the error of a slide that was set aside, as the journal tells it."""

    class _Told(RejectedError):
        code = status.error_code or RejectedError.code
        next_step = status.next_step or RejectedError.next_step

    return _Told(status.error or "The slide was set aside.")


def _sentence(errors: Path) -> str:
    """Give the sentence with which one of our commands ended."""
    lines = errors.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.removeprefix("coverslip: ") for line in lines if line.startswith("coverslip: ")]
    return said[-1] if said else "The program that sends the slide failed."
