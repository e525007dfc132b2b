"""Nothing leaves that release did not sign for that route, whatever lies in an outbox.

The attacker of these tests may write every outbox folder and every journal row: a daemon that was
taken over. What it lacks is the signing key.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from appliance.daemon import open_journal
from appliance.line import Stage, State
from appliance.stores.journal_schema import parcels
from tests.line.appliance_site import ApplianceSite, content, wait_for
from tests.line.conftest import tiny_slide


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplianceSite]:
    folder = tmp_path_factory.mktemp("hostile")
    with ApplianceSite(folder / "site") as site:
        site.walk(tiny_slide(folder / "scan", seed=1))
        yield site


def good_parcel(site: ApplianceSite, route: str) -> Path:
    (slide,) = site.slides().values()
    (parcel_id,) = [d.parcel_id for d in slide.deliveries if d.route == route]
    (folder,) = site.root.outbox(route).glob(f"{parcel_id}@*")
    return folder


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


def planted(site: ApplianceSite, route: str, name: str) -> Path:
    """Copy a well-signed parcel of the PACS into an outbox under a new name."""
    target = site.root.outbox(route) / f"{name}@0"
    shutil.copytree(good_parcel(site, "pacs"), target)
    return target


def unsigned(site: ApplianceSite) -> tuple[str, Path]:
    folder = planted(site, "pacs", "unsigned")
    (folder / "manifest.sig").unlink()
    return "pacs", folder


def altered(site: ApplianceSite) -> tuple[str, Path]:
    folder = planted(site, "pacs", "altered")
    file = folder / "sr.dcm"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.chmod(0o600)
    file.write_bytes(bytes(data))
    return "pacs", folder


def misrouted(site: ApplianceSite) -> tuple[str, Path]:
    return "registry", planted(site, "registry", "misrouted")


def with_a_label(site: ApplianceSite) -> tuple[str, Path]:
    """A whole scanned instance slipped in beside what was signed."""
    folder = planted(site, "pacs", "label")
    originals = sorted(site.root.zone("original").rglob("*.dcm"))
    shutil.copy(originals[-1], folder / "label.dcm")
    return "pacs", folder


def by_symbolic_link(site: ApplianceSite) -> tuple[str, Path]:
    folder = planted(site, "pacs", "link")
    moved = site.root.zone("outbox") / "elsewhere.dcm"
    (folder / "sr.dcm").rename(moved)
    (folder / "sr.dcm").symlink_to(moved)
    return "pacs", folder


def outside_the_outbox(site: ApplianceSite) -> tuple[str, Path]:
    """A row whose folder walks out of the outbox, to a whole slide."""
    (slide,) = sorted(site.root.zone("original").iterdir())
    return "pacs", Path("..") / ".." / "original" / slide.name


@pytest.mark.parametrize(
    "attack", [unsigned, altered, misrouted, with_a_label, by_symbolic_link, outside_the_outbox]
)
def test_nothing_leaves_by(site: ApplianceSite, attack) -> None:  # type: ignore[no-untyped-def]
    before = everything_outside(site)
    route, folder = attack(site)
    name = str(folder) if not folder.is_absolute() else folder.name
    post(site, route, name)
    assert refused(site, name)
    assert everything_outside(site) == before


def test_a_retry_by_the_attacker_sends_what_was_signed_and_no_more(site: ApplianceSite) -> None:
    before = everything_outside(site)
    (slide_id,) = site.slides()
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
