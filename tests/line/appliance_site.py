"""A whole appliance with its peers, as processes of its own, for tests that push slides through."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from appliance.control import call
from appliance.daemon import open_journal
from appliance.demo.site import Site, make_site
from appliance.errors import ApplianceError
from appliance.line import SlideStatus, Stage, State
from appliance.settings import Settings, load
from appliance.storage import Root
from appliance.stores.board import Board
from appliance.supervisor import Supervisor
from appliance.temporary import start_command
from tests.forge import ForgedSupervisor, forge

LIMIT_S = 90.0
LEASE_S = 2.0


def wait_for(
    condition: Callable[[], bool], what: str, *, limit_s: float = LIMIT_S, every_s: float = 0.03
) -> None:
    """Wait for a condition; fail with words when the limit is reached.

    To look takes milliseconds of a core that the daemons need: look no more often than it matters.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit_s:.0f} s in vain: {what}")
        time.sleep(every_s)


class ApplianceSite:
    """The demo's hospital with short leases, under the test's control.

    Its processes are forked from one that has imported everything, unless they are to be started
    as on an appliance.
    """

    def __init__(
        self,
        folder: Path,
        *,
        edit: Callable[[str], str] = lambda text: text,
        forged: bool = True,
    ) -> None:
        self.site: Site = make_site(folder)
        text = self.site.settings_file.read_text()
        self.site.settings_file.write_text(edit(text) + f"\n[journal]\nlease_s = {LEASE_S}\n")
        self.settings: Settings = load(self.site.settings_file)
        self.root = Root(self.site.root)
        supervisor = ForgedSupervisor if forged else Supervisor
        self.supervisor = supervisor(settings_file=self.site.settings_file, quiet=True)
        self._forged = forged
        self.board: Board = open_journal(self.settings).board
        self._ending = ExitStack()

    def __enter__(self) -> "ApplianceSite":
        try:
            self._start()
        except BaseException:
            self._ending.close()
            raise
        return self

    def _start(self) -> None:
        for ae_title, port, folder in (
            ("PACS", self.site.pacs_port, self.site.pacs),
            ("REGISTRY", self.site.registry_port, self.site.registry),
        ):
            words = ["peer", "--ae", ae_title, "--port", str(port), "--folder", str(folder)]
            peer = forge().start(words) if self._forged else start_command(words)
            self._ending.callback(peer.wait)
            self._ending.callback(peer.terminate)
        self._ending.callback(self.supervisor.stop)
        self.supervisor.start_all(self.settings)
        self.await_daemons()

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def await_daemons(self) -> None:
        """Wait until every daemon answers at its control socket."""
        for name in self.supervisor.names:
            wait_for(lambda name=name: self.tended() and self.answers(name), f"{name} answers")

    def tended(self) -> bool:
        """Start again what died, as systemd would."""
        self.supervisor.tend()
        return True

    def answers(self, daemon: str) -> bool:
        """Whether a daemon answers at its control socket."""
        try:
            call(self.root.socket(daemon), "status")
        except ApplianceError:
            return False
        return True

    def send(self, folder: Path, *, called: str = "COVERSLIP", calling: str = "SCANNER") -> int:
        """Push a folder of instances as a scanner would; give the exit code of the sender."""
        to = f"127.0.0.1:{self.site.node_port}"
        words = ["send", str(folder), "--to", to, "--called", called, "--calling", calling]
        if self._forged:
            return forge().run(words)
        return subprocess.run(
            [sys.executable, "-m", "appliance", *words], check=False, capture_output=True
        ).returncode

    def slides(self) -> dict[str, SlideStatus]:
        """Every slide on the line, by id."""
        return {slide.slide_id: slide for slide in self.board.snapshot()}

    def walk(self, folder: Path) -> SlideStatus:
        """Send a slide and wait until it came to an end."""
        before = set(self.slides())
        assert self.send(folder) == 0
        wait_for(lambda: bool(set(self.slides()) - before), "the slide is on the line")
        (slide_id,) = set(self.slides()) - before
        return self.await_state(slide_id, (State.DONE, State.ASIDE))

    def await_state(self, slide_id: str, states: tuple[State, ...]) -> SlideStatus:
        """Wait until a slide is in one of the states, tending the daemons meanwhile."""
        wait_for(
            lambda: self.tended() and self.slides()[slide_id].state in states,
            f"the slide is {' or '.join(states)}, not {self.slides().get(slide_id)}",
        )
        return self.slides()[slide_id]

    def signal(self, daemon: str, number: signal.Signals) -> None:
        """Send a signal to a daemon's process."""
        self.supervisor.process(daemon).send_signal(number)

    def product(self, slide_id: str, stage: Stage) -> Path:
        """Folder that a stage published for a slide."""
        folder = self.board.folder(slide_id, stage)
        assert folder is not None
        zones = {
            Stage.ASSEMBLE: "original",
            Stage.DEIDENTIFY: "deid",
            Stage.INFER: "findings",
            Stage.REPORT: "report",
        }
        return self.root.zone(zones[stage]) / folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder: relative name to bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def data_set(path: Path) -> bytes:
    """Bytes after the file meta information, which each receiver writes for itself (PS3.10 7.1)."""
    data = path.read_bytes()
    group_length = int.from_bytes(data[140:144], "little")
    return data[144 + group_length :]
