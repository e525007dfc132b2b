"""What daemons tell of one slide: its images from the node, its report from the anonymize daemon.

Both answers hold counts and words only. What does not fit is left out, so that a daemon of another
version is still understood as far as it goes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from appliance import control
from appliance.errors import ApplianceError
from appliance.line import DAEMONS, Stage
from appliance.storage import Root

Told = TypeVar("Told")
KINDS = ("removed", "replaced", "cleaned", "kept")
"""What de-identification does with an attribute, in the order in which it is shown."""
UNLIKELY = ValueError, KeyError, TypeError, AttributeError, OverflowError


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTold:
    """One image of a slide: a level of the pyramid, the label, an overview."""

    flavour: str
    rows: int
    columns: int
    um_px: float | None
    n_objects: int
    n_frames: int
    n_bytes: int
    encoding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesTold:
    """All images of a slide, and what became of the received objects."""

    images: tuple[ImageTold, ...]
    n_objects: int
    n_bytes: int
    n_dismissed: int
    n_purged: int
    n_promised: int
    """Objects that the scanner was told it may delete."""
    n_archived: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """How many attributes were treated so, and why."""

    kind: str
    reason: str
    n_attributes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidTold:
    """What de-identification did to a slide, without a value of it."""

    n_images: int
    n_kept: int
    dropped: tuple[tuple[str, str], ...]
    """Kind of each image that was left out, and why."""
    attributes: Mapping[str, int]
    """How many attributes, by `KINDS`."""
    reasons: tuple[Reason, ...]
    n_sought: int
    """Values of the original that were looked for in what was written; none was found."""
    not_sought: tuple[tuple[int, str], ...]
    n_judged: int
    n_pictures_read: int
    n_painted: int
    label: str
    profile: str
    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What both daemons tell; a sentence where one of them does not."""

    images: ImagesTold | str
    deid: DeidTold | str


def ask_details(root: Root, slide_id: str) -> Details:
    """Ask both daemons about a slide."""
    return Details(
        images=_asked(root, DAEMONS[Stage.ASSEMBLE], "describe_slide", slide_id, images_told),
        deid=_asked(root, DAEMONS[Stage.DEIDENTIFY], "deid_report", slide_id, deid_told),
    )


def images_told(answer: Mapping[str, Any]) -> ImagesTold:
    """Read the node's answer."""
    return ImagesTold(
        images=tuple(_each(answer.get("images"), _image)),
        n_objects=_number(answer, "objects"),
        n_bytes=_number(answer, "bytes"),
        n_dismissed=_number(answer, "dismissed"),
        n_purged=_number(answer, "purged"),
        n_promised=_number(answer, "promised"),
        n_archived=_number(answer, "archived"),
    )


def deid_told(answer: Mapping[str, Any]) -> DeidTold:
    """Read the anonymize daemon's answer."""
    attributes = answer.get("attributes") or {}
    return DeidTold(
        n_images=_number(answer, "images_in"),
        n_kept=_number(answer, "images_kept"),
        dropped=tuple(
            _each(answer.get("dropped"), lambda one: (str(one["what"]), str(one["why"])))
        ),
        attributes={kind: _number(attributes, kind) for kind in KINDS},
        reasons=tuple(_each(answer.get("reasons"), _reason)),
        n_sought=_number(answer, "values_sought"),
        not_sought=tuple(
            _each(answer.get("not_sought"), lambda one: (int(one["count"]), str(one["why"])))
        ),
        n_judged=_number(answer, "judged"),
        n_pictures_read=_number(answer, "pictures_read"),
        n_painted=_number(answer, "places_painted"),
        label=str(answer.get("label") or ""),
        profile=str(answer.get("profile") or ""),
        key_id=str(answer.get("key_id") or ""),
    )


def _asked(
    root: Root,
    daemon: str,
    command: str,
    slide_id: str,
    read: Callable[[Mapping[str, Any]], Told],
) -> Told | str:
    try:
        return read(control.call(root.socket(daemon), command, slide_id=slide_id))
    except ApplianceError as error:
        return str(error)


def _each(value: object, read: Callable[[Any], Told]) -> Iterator[Told]:
    for one in value if isinstance(value, list) else ():
        try:
            yield read(one)
        except UNLIKELY:
            continue


def _image(one: Mapping[str, Any]) -> ImageTold:
    um_px = one.get("um_px")
    return ImageTold(
        flavour=str(one["flavour"]),
        rows=int(one["rows"]),
        columns=int(one["columns"]),
        um_px=None if um_px is None else float(um_px),
        n_objects=int(one["objects"]),
        n_frames=int(one["frames"]),
        n_bytes=int(one["bytes"]),
        encoding=str(one["encoding"]),
    )


def _reason(one: Mapping[str, Any]) -> Reason:
    return Reason(kind=str(one["kind"]), reason=str(one["reason"]), n_attributes=int(one["count"]))


def _number(answer: object, name: str) -> int:
    value = answer.get(name) if isinstance(answer, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
