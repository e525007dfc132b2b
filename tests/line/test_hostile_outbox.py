"""Nothing leaves that release did not sign for that route, whatever lies in an outbox.

The attacker of these tests may write every outbox folder and every journal row: a daemon that was
taken over. What it lacks is the signing key.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import insert, select

from appliance.daemon import open_journal
from appliance.line import Stage, State
from appliance.stores.journal_schema import parcels
from tests.dicom_node.doors import Swapping
from tests.line.appliance_site import ApplianceSite, content, wait_for
from tests.line.conftest import tiny_slide


@dataclass(frozen=True, slots=True)
class Target:
    """An appliance, and a slide whose products have left already."""

    site: ApplianceSite
    slide_id: str

    def good_parcel(self, route: str) -> Path:
        deliveries = self.site.slides()[self.slide_id].deliveries
        (parcel_id,) = [d.parcel_id for d in deliveries if d.route == route]
        (folder,) = self.site.root.outbox(route).glob(f"{parcel_id}@*")
        return folder

    def originals(self) -> Path:
        return self.site.product(self.slide_id, Stage.ASSEMBLE)

    def planted(self, route: str, name: str) -> Path:
        """Copy a well-signed parcel of the PACS into an outbox under a new name."""
        folder = self.site.root.outbox(route) / f"{name}@0"
        shutil.copytree(self.good_parcel("pacs"), folder)
        return folder


@pytest.fixture(scope="module")
def target(running: ApplianceSite, tmp_path_factory: pytest.TempPathFactory) -> Target:
    scan = tiny_slide(tmp_path_factory.mktemp("hostile") / "scan", seed=61)
    return Target(running, running.walk(scan).slide_id)


def post(site: ApplianceSite, route: str, folder: str, *, kind: str = "report") -> None:
    """Write a parcel row as a daemon could that was taken over."""
    journal = open_journal(site.settings)
    with journal._engine.begin() as connection:
        connection.execute(
            insert(parcels).values(
                parcel_id=folder,
                route=route,
                kind=kind,
                folder=folder,
                slide_id=None,
                state=State.WAITING,
                attempts=0,
                retries=0,
                created_at=1.0,
                updated_at=1.0,
            )
        )


def refused(site: ApplianceSite, folder: str) -> str:
    """Wait until a parcel was set aside; give the sentence."""
    journal = open_journal(site.settings)

    def row() -> tuple[str, str | None]:
        with journal._reader.connect() as connection:
            statement = select(parcels.c.state, parcels.c.error)
            found = connection.execute(statement.where(parcels.c.parcel_id == folder)).one()
        return found.state, found.error

    wait_for(lambda: site.tended() and row()[0] in (State.ASIDE, State.DONE), "a decision")
    assert row()[0] == State.ASIDE
    return str(row()[1])


def everything_outside(site: ApplianceSite) -> dict[str, bytes]:
    return content(site.site.pacs) | content(site.site.registry) | content(site.site.university)


def unsigned(target: Target) -> tuple[str, Path]:
    folder = target.planted("pacs", "unsigned")
    (folder / "manifest.sig").unlink()
    return "pacs", folder


def altered(target: Target) -> tuple[str, Path]:
    folder = target.planted("pacs", "altered")
    file = folder / "sr.dcm"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.chmod(0o600)
    file.write_bytes(bytes(data))
    return "pacs", folder


def misrouted(target: Target) -> tuple[str, Path]:
    return "registry", target.planted("registry", "misrouted")


def with_a_label(target: Target) -> tuple[str, Path]:
    """A whole scanned instance slipped in beside what was signed."""
    folder = target.planted("pacs", "label")
    shutil.copy(max(target.originals().glob("*.dcm")), folder / "label.dcm")
    return "pacs", folder


def by_symbolic_link(target: Target) -> tuple[str, Path]:
    folder = target.planted("pacs", "link")
    moved = target.site.root.zone("outbox") / "elsewhere.dcm"
    (folder / "sr.dcm").rename(moved)
    (folder / "sr.dcm").symlink_to(moved)
    return "pacs", folder


def outside_the_outbox(target: Target) -> tuple[str, Path]:
    """A row whose folder walks out of the outbox, to a whole slide."""
    return "pacs", Path("..") / ".." / "original" / target.originals().name


@pytest.mark.parametrize(
    "attack", [unsigned, altered, misrouted, with_a_label, by_symbolic_link, outside_the_outbox]
)
def test_nothing_leaves_by(target: Target, attack) -> None:  # type: ignore[no-untyped-def]
    site = target.site
    before = everything_outside(site)
    route, folder = attack(target)
    name = str(folder) if not folder.is_absolute() else folder.name
    post(site, route, name)
    assert refused(site, name)
    assert everything_outside(site) == before


def test_a_retry_by_the_attacker_sends_what_was_signed_and_no_more(target: Target) -> None:
    site, slide_id = target.site, target.slide_id
    before = everything_outside(site)
    journal = open_journal(site.settings)
    with journal._engine.begin() as connection:
        connection.execute(
            parcels.update().where(parcels.c.route == "pacs", parcels.c.slide_id == slide_id)
            .values(state=State.WAITING)
        )  # fmt: skip
    wait_for(
        lambda: all(d.state is State.DONE for d in site.slides()[slide_id].deliveries),
        "the parcel is sent again",
    )
    assert everything_outside(site) == before
    assert site.slides()[slide_id].stage is Stage.DELIVER


def test_a_file_that_is_swapped_all_the_time_leaves_as_it_was_signed_or_not_at_all(
    target: Target,
) -> None:
    """The deliver daemon works on the parcel again and again, while another process swaps it."""
    site, before = target.site, everything_outside(target.site)
    report = target.good_parcel("pacs") / "sr.dcm"
    uid = str(pydicom.dcmread(report).SOPInstanceUID)
    other = uid[:-1] + str((int(uid[-1]) + 1) % 10)
    stolen = report.read_bytes().replace(uid.encode(), other.encode())
    report.chmod(0o600)
    seen = dict.fromkeys((State.DONE, State.ASIDE), 0)
    with Swapping(report, stolen):
        deadline = time.monotonic() + 40
        while min(seen.values()) < 3 and time.monotonic() < deadline:
            seen[offered_again(target)] += 1
    assert min(seen.values()) >= 3, seen
    assert everything_outside(site) == before
    assert offered_again(target) is State.DONE, "what was signed can still leave"


def offered_again(target: Target) -> State:
    """Put the parcel for the PACS back in the queue as an attacker would; tell what came of it."""
    journal = open_journal(target.site.settings)
    mine = (parcels.c.route == "pacs") & (parcels.c.slide_id == target.slide_id)
    with journal._engine.begin() as connection:
        fresh = {"state": State.WAITING, "attempts": 0, "next_try_at": None, "lease_token": None}
        connection.execute(parcels.update().where(mine).values(**fresh))

    def state() -> str:
        with journal._reader.connect() as connection:
            return str(connection.execute(select(parcels.c.state).where(mine)).scalar_one())

    wait_for(lambda: target.site.tended() and state() in (State.DONE, State.ASIDE), "a decision")
    journal._engine.dispose()
    return State(state())
