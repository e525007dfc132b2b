"""Faults of the machine while a slide is de-identified: nothing half is ever published."""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.stage import handler
from anonymizer.pseudonyms import Pseudonyms
from appliance.errors import ApplianceError, InvalidInstance
from appliance.line import Outcome, Stage, State
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.worker import Work, Worker
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries
from tests.dicom_node.faults.small_disk import small_disk

METHOD = Method(pseudonyms=Pseudonyms(bytes(range(32))))
TILES = 12
"""Along one side: enough that a slide needs many steps, and more room than is left for it."""
MOMENTS = 12
EFFECTS = frozenset(("open", "os.rename", "os.mkdir", "os.remove", "shutil.rmtree"))
"""What Python tells its audit hooks of the file system."""
DAY_S = 86_400.0


def slide(folder: Path) -> Path:
    """One image with many frames."""
    folder.mkdir()
    elements = planted.slim(Canaries(), tiles=TILES)
    frames = [planted.jpeg(seed) for seed in range(TILES)] * TILES
    return planted.write(folder / "0000.dcm", elements, frames, Canaries())


@contextmanager
def journal_in(folder: Path, *, at_s: float) -> Iterator[Journal]:
    engine = open_engine(f"sqlite:///{folder / 'journal.db'}", store="journal")
    try:
        yield Journal(engine, lambda: at_s)
    finally:
        engine.dispose()


def assembled(folder: Path, root: Root) -> None:
    """Put a slide on the line, up to the stage."""
    source = slide(folder / "scan")

    def assemble(work: Work) -> Outcome:
        shutil.copy(source, work.output)
        return Outcome()

    with journal_in(folder, at_s=0.0) as journal:
        journal.add_slide("slide", scanner="scanner-1", last_byte_at=0.0)
        journal.complete("slide", actor="node", reason="all there")
        assert step(journal, root, Stage.ASSEMBLE, assemble)


def step(journal: Journal, root: Root, stage: Stage = Stage.DEIDENTIFY, handle=None) -> bool:
    return Worker(journal=journal, root=root, stage=stage, handle=handle or handler(METHOD)).step()


def published(folder: Path, root: Root) -> dict[str, bytes] | None:
    """What the journal names; None when it names nothing."""
    with journal_in(folder, at_s=0.0) as journal:
        name = journal.board.folder("slide", Stage.DEIDENTIFY)
    if name is None:
        return None
    return {path.name: path.read_bytes() for path in (root.zone("deid") / name).iterdir()}


def in_child(work: Callable[[], object]) -> int:
    """Do something in a child process; give its exit status as waitpid does."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  the child must end here whatever it was
            os._exit(2)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def step_and_die(folder: Path, root: Root, moment: int, counted: Path) -> None:
    """Work the stage; be killed at the n-th effect on files below the root, or count them."""
    effects = [0]
    lock = threading.Lock()

    def hook(event: str, words: tuple) -> None:
        if event in EFFECTS and words and str(words[0]).startswith(str(root.path)):
            with lock:
                effects[0] += 1
                if effects[0] == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    with journal_in(folder, at_s=1.0) as journal:
        step(journal, root)
    counted.write_text(str(effects[0]))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What comes out when nothing happens, and after how many effects on files."""
    folder = tmp_path_factory.mktemp("undisturbed")
    root = Root(folder / "root")
    assembled(folder, root)
    assert in_child(lambda: step_and_die(folder, root, 0, folder / "count")) == 0
    return published(folder, root), int((folder / "count").read_text())


@pytest.mark.parametrize("share", [number / MOMENTS for number in range(MOMENTS + 1)])
def test_a_kill_at_any_moment_publishes_all_or_nothing(tmp_path, undisturbed, share):
    whole, effects = undisturbed
    root = Root(tmp_path / "root")
    assembled(tmp_path, root)
    moment = 1 + round(share * (effects - 1))
    status = in_child(lambda: step_and_die(tmp_path, root, moment, tmp_path / "count"))
    assert os.WIFSIGNALED(status)
    assert published(tmp_path, root) in (None, whole)
    with journal_in(tmp_path, at_s=DAY_S) as journal:  # the lease has ended since
        worker = Worker(journal=journal, root=root, stage=Stage.DEIDENTIFY, handle=handler(METHOD))
        worker.step()
        worker.sweep()
        assert journal.board.slide("slide").stage is Stage.INFER
    assert published(tmp_path, root) == whole
    assert len(list(root.zone("deid").iterdir())) == 1


def test_a_full_disk_puts_the_slide_back_on_the_line_and_it_goes_on_with_room(
    tmp_path, request, undisturbed
):
    with small_disk(4, request.node.nodeid) as disk:
        root = Root(disk.folder)
        assembled(tmp_path, root)
        for room in (0, 40_000, 150_000):
            disk.fill(leave_bytes=room)
            with journal_in(tmp_path, at_s=DAY_S * (1 + room)) as journal:
                assert step(journal, root)
                status = journal.board.slide("slide")
            assert (status.state, status.error_code) == (State.WAITING, "storage-full"), room
            assert list(root.zone("deid").iterdir()) == []
            disk.empty()
        with journal_in(tmp_path, at_s=DAY_S * 1e6) as journal:
            assert step(journal, root)
        assert published(tmp_path, root) == undisturbed[0]


class Meddler:
    """Told of progress; does something to the source when it hears of it first."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._do = do
        self.done = False

    def __call__(self, _share: float, _words: str) -> None:
        if not self.done:
            self.done = True
            self._do()


def shortened(source: Path) -> None:
    os.truncate(source, source.stat().st_size // 2)


def overwritten(source: Path) -> None:
    size = source.stat().st_size
    with source.open("r+b") as file:
        file.seek(size // 3)
        file.write(b"CANARY^CHANGED" * 2000)


@pytest.mark.parametrize("change", [shortened, overwritten, Path.unlink])
def test_a_source_that_changes_while_it_is_read_is_refused_or_comes_out_whole(
    tmp_path, undisturbed, change
):
    source, output = slide(tmp_path / "scan"), tmp_path / "out"
    output.mkdir()
    meddler, refusal = Meddler(lambda: change(source)), ""
    try:
        deidentify_slide([source], output, METHOD, meddler)
    except ApplianceError as error:
        refusal = str(error)
    assert meddler.done
    assert Canaries().left_in(refusal.encode()) == []
    if not refusal:
        assert (output / "volume-00.dcm").read_bytes() == undisturbed[0]["volume-00.dcm"]


def test_a_source_that_is_not_there_is_no_success(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InvalidInstance, match="not there"):
        deidentify_slide([tmp_path / "gone.dcm"], tmp_path / "out", METHOD)
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_is_ever_written_over(tmp_path):
    source, output = slide(tmp_path / "scan"), tmp_path / "out"
    output.mkdir()
    there = output / "volume-00.dcm"
    there.write_text("of someone else")
    with pytest.raises((ApplianceError, FileExistsError)):
        deidentify_slide([source], output, METHOD)
    assert there.read_text() == "of someone else"
