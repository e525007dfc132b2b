"""The scanners on the system screen: who sends, how fast, and who waits for an answer. Pure."""

from textual.content import Content

from appliance.facts import OpenAssociation, OpenCommitments, ScannerContact
from tui import amounts, words
from tui.health import NODE
from tui.panels.summary import hanging, lines
from tui.rows import fitted, toned
from tui.view import View

NAME_WIDTH = 17
CONTACT_WIDTH = 15
SHORT_NAME = 6


def scanners(view: View, width: int) -> Content:
    """Show each scanner of the settings with its last object, and the transfers that go on."""
    if not view.settings.scanners:
        return toned("The settings name no scanner: nobody can send slides.", "warn")
    if view.system is None:
        return toned("Not asked yet.", "quiet")
    found = view.system.of(NODE)
    contacts = {one.scanner: one for one in found.scanners}
    parts: list[Content] = []
    for scanner in view.settings.scanners:
        mine = [one for one in found.associations if one.scanner == scanner.name]
        parts.append(_scanner(scanner.name, contacts.get(scanner.name), mine, view))
        parts.extend(_association(one, view) for one in mine)
    known = {scanner.name for scanner in view.settings.scanners}
    others = [one for one in found.associations if one.scanner not in known]
    if others:
        parts.append(Content.styled("others", "bold"))
        parts.extend(_association(one, view) for one in others)
    if found.commitments is not None:
        sentence, tone = _commitments(found.commitments, view.now)
        parts.append(hanging(Content(""), sentence, width).stylize(words.TONES[tone]))
    return lines(parts)


def _scanner(
    name: str, contact: ScannerContact | None, open_ones: list[OpenAssociation], view: View
) -> Content:
    mark = toned("↓ ", "busy") if open_ones else toned("  ", "quiet")
    last = contact.last_at if contact else None
    seen = f"last {amounts.age(view.now - last)}" if last else "nothing yet"
    came = ""
    if contact and contact.n_objects:
        objects = amounts.counted(contact.n_objects, "object")
        came = f"{objects}, {amounts.size(contact.n_bytes)} in 24 h"
    return Content.assemble(
        mark,
        fitted(Content.styled(name, "bold"), NAME_WIDTH - 2),
        fitted(toned(seen, "quiet"), CONTACT_WIDTH),
        " ",
        toned(came, "quiet"),
    )


def _association(one: OpenAssociation, view: View) -> Content:
    speed = view.system.speeds.get(one.name) if view.system else None
    took = amounts.duration(view.now - one.since)
    return Content.assemble(
        "    ",
        toned(f"transfer {one.name[:SHORT_NAME]}", "quiet"),
        f"  {amounts.size(one.n_bytes)} in {took}",
        toned(f"  {amounts.speed(speed)}" if speed is not None else "", "busy"),
    )


def _commitments(found: OpenCommitments, now: float) -> tuple[str, words.Tone]:
    if not found.undecided and not found.unanswered:
        return "No scanner waits for a storage commitment.", "quiet"
    parts = []
    if found.undecided:
        parts.append(f"{found.undecided} not decided")
    if found.unanswered:
        parts.append(f"{found.unanswered} decided, whose answer no scanner has taken")
    oldest = (
        f"; the oldest was asked {amounts.age(now - found.oldest_at)}" if found.oldest_at else ""
    )
    asked = amounts.counted(found.undecided + found.unanswered, "request")
    return f"Storage commitment: {asked} open ({', '.join(parts)}){oldest}.", "plain"
