"""The release stage: for every configured route, what that route may have of a slide."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pydicom.errors
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    MicroscopyBulkSimpleAnnotationsStorage,
    ParametricMapStorage,
    SegmentationStorage,
)

from anonymizer.quiet import quiet_pydicom
from anonymizer.release.asking import ask_about_sample
from anonymizer.release.belonging import Inverse, inverse_of
from anonymizer.release.limits import waiting
from anonymizer.release.opened import OpenedSlide, ReleaseKeys, open_identity, open_slide_of
from anonymizer.release.outside_sr import outside_report
from anonymizer.release.parcels import Outboxes, Product
from anonymizer.release.pinned_models import pinned_models
from anonymizer.release.restore import restore, to_file
from anonymizer.release.site_route import SiteRoute
from anonymizer.release.tile_batches import TileBatches
from anonymizer.release.tile_route import REFUSALS, TileRoute
from anonymizer.tiles.pool import opaque_id
from appliance.errors import InvalidInstance, PolicyRefused
from appliance.line import Outcome, Parcel, State
from appliance.settings import Route, Settings
from appliance.storage import Root
from appliance.stores.journal import Journal
from appliance.stores.vault import Vault
from appliance.worker import Work

_LABEL_MAP: Final = UID("1.2.840.10008.5.1.4.1.1.66.7")
"""Registered since the dictionary of pydicom was made."""

_FILES: Final = {
    "SR": "sr.dcm",
    "SEG": "seg.dcm",
    "ANN": "ann.dcm",
    "heat_map": "heat_map.dcm",
    "one_pager": "one_pager.dcm",
}
"""Kind of product inside -> file of the report stage, and of the parcel."""

_WORDS: Final = {"outside_sr": "bare SR"}

CLASSES: Final = {
    "SR": (Comprehensive3DSRStorage,),
    "SEG": (SegmentationStorage, _LABEL_MAP),
    "ANN": (MicroscopyBulkSimpleAnnotationsStorage,),
    "heat_map": (ParametricMapStorage, SegmentationStorage),
    "one_pager": (EncapsulatedPDFStorage,),
    "outside_sr": (EnhancedSRStorage,),
}
"""Kind of product -> SOP classes that it may have."""


class Release:
    """Handler of the release stage.

    Parameters
    ----------
    settings
        Routes and their policies; nothing in the journal can widen them.
    root
        The zones.
    vault, keys
        Identity, ledger and signing.
    journal
        Which parcels are known to be on their way.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        root: Root,
        vault: Vault,
        keys: ReleaseKeys,
        journal: Journal,
        clock: Callable[[], float],
    ) -> None:
        routes = (one for one in settings.routes if not one.is_archive)
        # Inside first: the PACS never waits for what goes out.
        self._routes = tuple(sorted(routes, key=lambda route: route.place != "inside"))
        self._root = root
        self._vault = vault
        self._keys = keys
        self._journal = journal
        self._clock = clock
        tells_models = any("outside_sr" in route.carries for route in self._routes)
        self._models = pinned_models(settings.inference.models) if tells_models else ()
        self._outboxes = Outboxes(root=root, vault=vault, sign_key=keys.sign_key)

    def __call__(self, work: Work) -> Outcome:
        """Make, check, sign and publish the products of one slide for every route.

        Raises
        ------
        IdentityDoubt
            The identity is not certainly this slide's; nothing leaves.
        DeliveryRefused
            A product holds what may not leave.
        """
        with quiet_pydicom():
            return self._release(work)

    def _release(self, work: Work) -> Outcome:
        slide = open_slide_of(work, root=self._root, vault=self._vault, keys=self._keys)
        parcels: list[Parcel] = []
        notes: list[str] = []
        for number, route in enumerate(self._routes):
            work.progress(number / len(self._routes), f"route {route.name}")
            for note, made in self._route(slide, route):
                notes.append(note)
                parcels.extend(made)
        return Outcome(parcels=tuple(parcels), note=" ".join(notes) or "There is no route.")

    def _route(self, slide: OpenedSlide, route: Route) -> Iterator[tuple[str, tuple[Parcel, ...]]]:
        if route.recipient in self._keys.retired:
            yield f"Route {route.name}: nothing. Its recipient is retired.", ()
        elif route.place == "site":
            yield self._every_tile(slide, route)
        elif "tiles" in route.carries:
            yield from self._tiles(slide, route)
        elif "outside_sr" in route.carries:
            try:
                product = self._outside_sr(slide, route)
            except PolicyRefused as error:
                yield f"Route {route.name}: no report. {error}", ()
            else:
                yield self._post_once(slide, route, product)
        else:
            products = self._report(slide, route)
            if products:
                name = self._name(slide, route, "report")
                yield self._post(slide, route, "report", products, name=name)
            else:
                yield f"Route {route.name}: nothing. The slide has nothing that it carries.", ()

    def _tiles(self, slide: OpenedSlide, route: Route) -> Iterator[tuple[str, tuple[Parcel, ...]]]:
        tile_route = TileRoute(route, routes=self._routes, vault=self._vault, keys=self._keys)
        try:
            yield tile_route.sample(slide), ()
        except REFUSALS as error:
            yield f"Route {route.name}: no tiles. {error}", ()
        if route.kind == "model_servers" and (
            n_asked := ask_about_sample(slide, route, vault=self._vault, now=self._clock())
        ):
            yield f"Route {route.name}: answers about {n_asked} tiles are waited for.", ()
        batches = TileBatches(
            route,
            tile_route.policy,
            vault=self._vault,
            keys=self._keys,
            outboxes=self._outboxes,
            journal=self._journal,
        )
        parcels, refused = batches.post(token=slide.token, now=self._clock())
        if parcels:
            words = f"batches of tiles handed over: {len(parcels)}.{waiting(parcels)}"
            yield f"Route {route.name}: {words}", parcels
        if refused:
            yield f"Route {route.name}: a batch of tiles stays. {refused}", ()

    def _every_tile(self, slide: OpenedSlide, route: Route) -> tuple[str, tuple[Parcel, ...]]:
        site_route = SiteRoute(route, vault=self._vault, keys=self._keys)
        try:
            return site_route.post(
                slide, outboxes=self._outboxes, journal=self._journal, now=self._clock()
            )
        except REFUSALS as error:
            return f"Route {route.name}: no tiles. {error}", ()

    def _post_once(
        self, slide: OpenedSlide, route: Route, product: Product
    ) -> tuple[str, tuple[Parcel, ...]]:
        """Hand over a bare report, unless an earlier revision of the slide gave the very same."""
        name = product.name.removesuffix(".dcm")
        if self._journal.parcels.state(name) is State.DONE:
            return f"Route {route.name}: nothing. It was given this report before.", ()
        return self._post(slide, route, product.kind, (product,), name=name)

    def _post(
        self,
        slide: OpenedSlide,
        route: Route,
        kind: str,
        products: tuple[Product, ...],
        *,
        name: str,
    ) -> tuple[str, tuple[Parcel, ...]]:
        parcel = Parcel(
            parcel_id=name,
            route=route.name,
            kind=kind,
            folder=f"{name}@{slide.token}",
            slide_id=slide.slide_id,
        )
        try:
            posted = self._outboxes.post(products, parcel=parcel, route=route, now=self._clock())
        except PolicyRefused as error:
            return f"Route {route.name}: nothing. {error}", ()
        kinds = ", ".join(_WORDS.get(product.kind, product.kind) for product in products)
        return f"Route {route.name}: {kinds}.{waiting((posted,))}", (posted,)

    def _name(self, slide: OpenedSlide, route: Route, kind: str, *about: str) -> str:
        """Name a parcel so that it tells nothing, and is the same after a retry."""
        key = self._keys.sampling_key
        of = about or (str(slide.revision),)
        return opaque_id(key, kind, slide.slide_id, *of, route.name)

    def _report(self, slide: OpenedSlide, route: Route) -> tuple[Product, ...]:
        """Restore the reports for a route inside; there is an SR always, the others may be absent.

        A slide without tissue has no SEG, one without artifacts no ANN.
        """
        if route.place != "inside":
            raise PolicyRefused("Only a route inside may carry a report with its patient on it.")
        made = {
            kind: read_product(slide.report / name, kind)
            for kind, name in _FILES.items()
            if kind == "SR" or (slide.report / name).exists()
        }
        own = frozenset(str(dataset.SOPInstanceUID) for dataset in made.values())
        reported_at = datetime.fromtimestamp(slide.reported_at, tz=UTC)
        earlier = self._earlier(slide)
        restored = {
            kind: restore(dataset, slide.inverse, reported_at=reported_at, own=own, earlier=earlier)
            for kind, dataset in made.items()
            if kind in route.carries
        }
        return tuple(
            Product(name=_FILES[kind], kind=kind, content=to_file(dataset))
            for kind, dataset in restored.items()
        )

    def _earlier(self, slide: OpenedSlide) -> Inverse | None:
        """Identity of the earlier scan of the same container, where there was one.

        The journal is not trusted with it: restoring compares container and patient.
        """
        status = self._journal.board.slide(slide.slide_id)
        before = status.supersedes if status is not None else None
        if before is None or self._vault.identity_source(before) is None:
            return None
        identity = open_identity(self._vault.identity(before), slide_id=before, keys=self._keys)
        return inverse_of(identity, self._keys.pseudonyms)

    def _outside_sr(self, slide: OpenedSlide, route: Route) -> Product:
        """Check and re-key the bare report for an outside recipient."""
        if not self._vault.grant(slide.container, route.recipient, "outside_sr"):
            raise PolicyRefused("This recipient was given tiles of this container, so no report.")
        report = read_product(slide.report / "outside_sr.dcm", "outside_sr")
        recipient = self._keys.pseudonyms.for_recipient(route.recipient)
        checked = outside_report(
            report, patient=slide.patient, recipient=recipient, models=self._models
        )
        content = to_file(checked)
        digest = hashlib.sha256(content).hexdigest()
        # A folder of a recipient collects many: each has a name of its own, which tells nothing.
        name = self._name(slide, route, "outside_sr", digest)
        return Product(name=f"{name}.dcm", kind="outside_sr", content=content)


def read_product(path: Path, kind: str) -> Dataset:
    """Read a report file and see that it is of the kind its name says.

    Raises
    ------
    InvalidInstance
        Missing, damaged, or of another kind.
    """
    try:
        dataset = dcmread(path)
        sop_class = str(dataset.SOPClassUID)
        dataset.SOPInstanceUID  # noqa: B018  has to be there
    except (OSError, EOFError, AttributeError, ValueError, pydicom.errors.InvalidDicomError) as e:
        raise InvalidInstance("A report file of this slide is missing or damaged.") from e
    if sop_class not in CLASSES[kind]:
        raise InvalidInstance("A report file of this slide is not of the kind its name says.")
    return dataset
