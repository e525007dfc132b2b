"""What the daemons tell of one slide, as text: its images, and how it was de-identified."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from textual.content import Content

from tui import amounts
from tui.label import VERDICTS
from tui.panels.summary import labelled, lines
from tui.rows import fitted, toned
from tui.told import KINDS, DeidTold, ImagesTold, ImageTold, Reason

MOST_REASONS = 4
"""Of one kind; the rest are counted together."""
SIZE_WIDTH = 8
PIXELS_WIDTH = 19
SPACING_WIDTH = 12
PLACE_WIDTH = 10
FLAVOURS = {"VOLUME": "level", "OTHER": "other"}
"""Kinds of image whose word is not their name."""


def images(told: ImagesTold | str | None, *, width: int) -> Content:
    """List the levels of the pyramid and the other images, and say what became of the objects."""
    if told is None:
        return toned("The node is asked.", "quiet")
    if isinstance(told, str):
        return toned(told, "quiet")
    encodings = ", ".join(dict.fromkeys(one.encoding for one in told.images))
    whole = f"{amounts.counted(told.n_objects, 'object')}, {amounts.size(told.n_bytes)}"
    return lines(
        [
            labelled("received", f"{whole}; {encodings}", width),
            *_levels(told.images),
            *(labelled("originals", text, width) for text in _fate(told)),
        ]
    )


def deidentified(told: DeidTold | str | None, *, width: int) -> Content:
    """Say what was taken away, replaced and kept, why, and what was looked for afterwards."""
    if told is None:
        return toned("The anonymize daemon is asked.", "quiet")
    if isinstance(told, str):
        return toned(told, "quiet")
    return lines([labelled(label, text, width) for label, text in _deid_rows(told)])


def _levels(found: Iterable[ImageTold]) -> Iterator[Content]:
    n_levels = 0
    for one in found:
        n_levels += one.flavour == "VOLUME"
        place = FLAVOURS.get(one.flavour, one.flavour.lower())
        if one.flavour == "VOLUME":
            place = f"{place} {n_levels}"
        spacing = f"{one.um_px:.3g} µm/px" if one.um_px is not None else ""
        parts = f" in {one.n_objects} objects" if one.n_objects > 1 else ""
        yield Content.assemble(
            fitted(toned(place, "quiet"), PLACE_WIDTH),
            f"{one.columns:,} x {one.rows:,}".rjust(PIXELS_WIDTH),
            toned(spacing.rjust(SPACING_WIDTH), "plain"),
            toned(amounts.size(one.n_bytes).rjust(SIZE_WIDTH + 1) + parts, "quiet"),
        )


def _fate(told: ImagesTold) -> Iterator[str]:
    of_all = f"of {told.n_objects}"
    if told.n_archived:
        yield f"{told.n_archived} {of_all} are in the archive"
    if told.n_promised:
        yield f"{told.n_promised} {of_all} the scanner may delete: we promised to keep them"
    if told.n_purged:
        yield f"{told.n_purged} {of_all} were purged here"
    if told.n_dismissed:
        yield f"{told.n_dismissed} more were dismissed by an operator"


def _deid_rows(told: DeidTold) -> Iterator[tuple[str, str]]:
    yield "images", f"{told.n_kept} of {told.n_images} kept"
    for why, dropped in groupby(told.dropped, key=lambda one: one[1]):
        yield "left out", f"{', '.join(what.lower() for what, _ in dropped)}: {why}"
    counts = " · ".join(f"{told.attributes.get(kind, 0):,} {kind}" for kind in KINDS)
    yield "attributes", counts
    for kind in KINDS:
        why = _why([one for one in told.reasons if one.kind == kind])
        if why:
            yield f"  {kind}", why
    yield "searched", f"{amounts.counted(told.n_sought, 'value')} of the original: none was found"
    for count, why in told.not_sought:
        yield "  not", f"{count:,} {why}"
    yield "judged", f"{amounts.counted(told.n_judged, 'value')} of what was written, all good"
    if told.n_pictures_read:
        read = f"text looked for in {amounts.counted(told.n_pictures_read, 'picture')}"
        yield "pixels", f"{read}, {amounts.counted(told.n_painted, 'place')} painted over"
    if told.label:
        yield "label", VERDICTS.get(told.label, told.label)
    yield "rules", f"{told.profile}; pseudonyms by key {told.key_id}"


def _why(reasons: list[Reason]) -> str:
    shown = [f"{one.n_attributes} {one.reason}" for one in reasons[:MOST_REASONS]]
    rest = sum(one.n_attributes for one in reasons[MOST_REASONS:])
    return "; ".join([*shown, f"{rest} for other reasons"] if rest else shown)
