"""Whether originals may be purged: a pure decision about all objects of a slide together.

A scanner that was told "committed" may delete its own copy, and so may one whose objects were
received. Ours is then the only one, until an archive has confirmed it to us. The scanner's own
filing (`also_archived_by_scanner`) is believed only for what we never promised to keep.
"""

from collections.abc import Collection, Sequence

from appliance.stores.originals import Original


def why_not(originals: Sequence[Original], *, archiving_scanners: Collection[str]) -> str | None:
    """Say why a slide's originals may not be purged; None when they may.

    Parameters
    ----------
    originals
        Every object that came for the slide and is still held, dismissed ones too.
    archiving_scanners
        Calling AE titles of the scanners that file their slides in an archive themselves.
    """
    if not originals:
        return "There are no originals of this slide to purge."
    for one in originals:
        if one.archived:
            continue
        if one.promised:
            return "A scanner was told that we keep this slide, and no archive has confirmed it."
        if one.calling_ae_title not in archiving_scanners:
            return "No archive has confirmed this slide."
    if any(one.awaited for one in originals):
        return "This slide is on its way to an archive, or a scanner waits for our answer."
    return None
