"""What of a slide goes on: its tissue images, and the objects that were made from them.

`images` sorts the whole-slide images. Everything else (segmentations, reports, annotations,
parametric maps, presentation states, single images) goes on by itself or beside its slide, unless
its pixels may show what nobody looked at.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from anonymizer.deidentify.images import Doubt, select
from anonymizer.part10.elements import PIXEL_VRS, Element, Header, find, text
from anonymizer.profile.iod import (
    VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE,
    Shape,
    iod_of,
    sop_classes,
)
from appliance.errors import IncompleteSlide, InvalidInstance

_SOP_CLASS: Final = 0x00080016
_SOP_INSTANCE: Final = 0x00080018
_REFERENCED_INSTANCE: Final = 0x00081155
_IMAGE_TYPE: Final = 0x00080008
_BURNED_IN: Final = 0x00280301
_VISUAL_FEATURES: Final = 0x00280302
_LABEL_IN_IMAGE: Final = 0x00480010
_PHOTOMETRIC: Final = 0x00280004
_OVERLAY_BIT: Final = 0x60000102
_NAMES: Final = {
    "segmentation": "seg",
    "height-map-segmentation": "seg",
    "microscopy-bulk-simple-annotations": "ann",
    "parametric-map": "map",
    "key-object-selection-document": "ko",
}
_COMPUTED: Final = frozenset(_NAMES)
"""IODs whose pixels a program computed from others, and draws no letters into."""

_MICROSCOPES: Final = frozenset(
    (
        "vl-microscopic-image",
        "vl-slide-coordinates-microscopic-image",
        "confocal-microscopy-image",
        "confocal-microscopy-tiled-pyramidal-image",
    )
)
"""IODs whose pixels come from a lens: as for slides, no word about annotation means none."""

_IDENTIFYING: Final = frozenset(("LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """An object that goes on."""

    header: Header
    """Without pixels when its IOD has none."""
    name: str
    """File name in the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of one slide, sorted."""

    kept: tuple[Chosen, ...]
    """Images first, finest first, then the others by kind."""
    dropped: tuple[tuple[str, Doubt], ...]
    """Image flavor or kind, and why."""


def choose(headers: Sequence[Header], *, clean_pixels: bool = False) -> Objects:
    """Choose what goes on.

    Parameters
    ----------
    headers
        Of all objects of a slide.
    clean_pixels
        Whether it will be claimed that somebody looked for text in the pixels (PS3.15 E.3.1).

    Raises
    ------
    InvalidInstance
        An object is of a kind that cannot be de-identified, or has other pixels than its kind has.
    IncompleteSlide
        Nothing is left, or no tissue image of a slide is.
    """
    for header in headers:
        iod_of(header.text(_SOP_CLASS))
    slides = [one for one in headers if is_slide(one)]
    kept: list[Header] = []
    dropped: list[tuple[str, Doubt]] = []
    if slides:
        selection = select(slides)
        kept, dropped = list(selection.kept), list(selection.dropped)
    gone = _instances(slides) - _instances(kept)
    others = sorted((one for one in headers if not is_slide(one)), key=_place)
    for header in others:
        one = _with_own_pixels(header)
        doubt = _doubt(one, gone, clean_pixels=clean_pixels)
        if doubt is None:
            kept.append(one)
        else:
            dropped.append((kind_of(one), doubt))
    if not kept:
        raise IncompleteSlide("No object is left that surely shows nothing but tissue.")
    return Objects(kept=tuple(_named(kept)), dropped=tuple(dropped))


def is_slide(header: Header) -> bool:
    """Whether an object is a whole-slide image."""
    return header.text(_SOP_CLASS) == VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE


def kind_of(header: Header) -> str:
    """Short name of the kind of an object, as in the names of files."""
    iod = sop_classes()[header.text(_SOP_CLASS)]
    if is_slide(header):
        return "volume"
    if iod.endswith(("-sr", "-sr-document")):
        return "sr"
    if iod.endswith("presentation-state"):
        return "pr"
    return _NAMES.get(iod, "image" if iod.endswith("-image") else "object")


def _named(kept: Iterable[Header]) -> Iterator[Chosen]:
    numbers: Counter[str] = Counter()
    for header in kept:
        kind = kind_of(header)
        yield Chosen(header=header, name=f"{kind}-{numbers[kind]:02d}.dcm")
        numbers[kind] += 1


def _place(header: Header) -> tuple[str, str]:
    return kind_of(header), header.text(_SOP_INSTANCE)


def _instances(headers: Iterable[Header]) -> set[str]:
    return {header.text(_SOP_INSTANCE) for header in headers}


def _pixels_of(shape: Shape) -> frozenset[int]:
    return frozenset(shape.attributes) & PIXEL_VRS.keys()


def _with_own_pixels(header: Header) -> Header:
    """Leave out pixels that an object of this kind does not have; miss those that it must have."""
    own = _pixels_of(iod_of(header.text(_SOP_CLASS)))
    if not own:
        return replace(header, pixels=None)
    if header.pixel_place.tag not in own:
        raise InvalidInstance("The object has other pixel data than objects of its kind have.")
    return header


def _doubt(header: Header, gone: set[str], *, clean_pixels: bool) -> Doubt | None:
    """Tell why the pixels of an object may show what nobody looked at; None when they do not."""
    if header.pixels is None:
        return None
    iod = sop_classes()[header.text(_SOP_CLASS)]
    annotation = header.text(_BURNED_IN)
    checks = {
        Doubt.FLAVOR: not _IDENTIFYING.isdisjoint(_values(header.value(_IMAGE_TYPE))),
        Doubt.LABEL: header.text(_LABEL_IN_IMAGE) not in {"", "NO"},
        Doubt.ANNOTATION: annotation != "NO"
        and (annotation != "" or iod not in _COMPUTED | _MICROSCOPES),
        Doubt.FEATURES: header.text(_VISUAL_FEATURES) not in {"", "NO"},
        Doubt.OVERLAY: any(_is_embedded(element) for element in header.elements),
        Doubt.SOURCE: not gone.isdisjoint(_referenced(header.elements)),
        Doubt.PALETTE: _has_palette(header.elements) and iod not in _COMPUTED,
        Doubt.UNSEEN: clean_pixels and iod not in _COMPUTED,
    }
    return next((doubt for doubt, holds in checks.items() if holds), None)


def without_palette(elements: Sequence[Element]) -> tuple[Element, ...]:
    """Say of labels whose palette is gone that they are plain numbers (PS3.3 C.8.20.2.3)."""
    if not _has_palette(elements):
        return tuple(elements)
    grey = Element(_PHOTOMETRIC, "CS", b"MONOCHROME2")
    return tuple(grey if element.tag == _PHOTOMETRIC else element for element in elements)


def _has_palette(elements: Iterable[Element]) -> bool:
    return text(find(elements, _PHOTOMETRIC)) == "PALETTE COLOR"


def _is_embedded(element: Element) -> bool:
    """Whether an overlay lies in unused bits of the pixels (PS3.5 8.1.2, retired)."""
    return element.tag & 0xFF00FFFF == _OVERLAY_BIT and any(element.value)


def _referenced(elements: Iterable[Element]) -> Iterator[str]:
    for element in elements:
        if element.tag == _REFERENCED_INSTANCE:
            yield text(element.value)
        for item in element.items or ():
            yield from _referenced(item)


def _values(value: bytes) -> list[str]:
    return [one.strip() for one in text(value).split("\\")]
