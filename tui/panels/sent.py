"""What of a slide was sent where: under which policy, signed when and with which key."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from textual.content import Content

from appliance.line import DeliveryStatus, Event, SlideStatus, Stage
from appliance.settings import Route
from tui import amounts, policy_words, words
from tui.panels.past import DAY_AND_CLOCK, local
from tui.panels.summary import LABEL_WIDTH, hanging, lines
from tui.rows import fitted, toned

_POLICY = re.compile(r"Policy ([0-9a-f]{64}): ([a-z_]+)")
_KEY = re.compile(r" Signed with key (\w+)\.")
_LOAD = re.compile(
    r" to (.+) \([a-z]+, [a-z_]+\): \w+, (?:(\d+) tiles, )?(\d+) files, (\d+) bytes\."
)
"""How release writes policy, key and content of a parcel into the audit record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What release wrote about a parcel when it signed it."""

    at: float
    policy_digest: str
    mechanism: str
    key_id: str
    """Empty where it is not told."""
    load: str
    """To whom and how much, in words; empty where it is not told."""


def signed(delivery: DeliveryStatus, events: Iterable[Event]) -> Signed | None:
    """Find what release wrote about a parcel; None when the events do not tell.

    Parameters
    ----------
    delivery
        Of a slide.
    events
        Of the same slide: release writes one for each parcel it signs. Only its own count.
    """
    begins = f"Parcel {delivery.parcel_id} "
    own = (event for event in events if event.actor == Stage.RELEASE)
    for event in own:
        policy = _POLICY.search(event.text) if event.text.startswith(begins) else None
        if policy is not None:
            key = _KEY.search(event.text)
            return Signed(
                at=event.at,
                policy_digest=policy[1],
                mechanism=policy[2],
                key_id=key[1] if key else "",
                load=_load(event.text),
            )
    return None


def deliveries(
    slide: SlideStatus,
    *,
    events: Iterable[Event],
    routes: Iterable[Route],
    now: float,
    width: int,
) -> Content:
    """Say what went where, how much, under which policy and signature, or why it did not."""
    if not slide.deliveries:
        return toned("Nothing has been handed to a route yet.", "quiet")
    today = {route.name: route.policy_digest for route in routes}
    written = tuple(events)
    parts = []
    for delivery in slide.deliveries:
        parts.append(_state(delivery, now))
        seal = signed(delivery, written)
        said = sealed_words(seal, today.get(delivery.route)) if seal else ()
        parts += [hanging(_indent(), text, width, "quiet") for text in said]
        if delivery.error:
            parts.append(hanging(_indent(), delivery.error, width, "bad"))
    return lines(parts)


def sealed_words(seal: Signed, policy_today: str | None) -> tuple[str, ...]:
    """Say in lines what was signed, when, with which key and under which policy.

    Parameters
    ----------
    seal
        Of a parcel.
    policy_today
        Digest of the policy that its route has now; None without such a route.
    """
    since = "" if policy_today == seal.policy_digest else ", which has changed since"
    mechanism = policy_words.MECHANISMS.get(seal.mechanism, seal.mechanism)
    policy = f"{mechanism}; policy {seal.policy_digest[: words.DIGEST_LENGTH]}{since}"
    key = f" with key {seal.key_id}" if seal.key_id else ""
    signature = f"signed {local(DAY_AND_CLOCK, seal.at)}{key}"
    return tuple(text for text in (seal.load, policy, signature) if text)


def _state(delivery: DeliveryStatus, now: float) -> Content:
    word = words.DELIVERIES[delivery.state]
    tries = f" · {delivery.attempts} tries" if delivery.attempts > 1 else ""
    return Content.assemble(
        toned(word.glyph, word.tone),
        " ",
        fitted(Content.styled(delivery.route, "bold"), LABEL_WIDTH),
        toned(f"{word.text} ", word.tone),
        toned(f"{words.kind(delivery)} · {amounts.age(now - delivery.updated_at)}{tries}", "quiet"),
    )


def _indent() -> Content:
    return Content(" " * (LABEL_WIDTH + 2))


def _load(text: str) -> str:
    found = _LOAD.search(text)
    if found is None:
        return ""
    recipient, tiles, files, n_bytes = found.groups()
    counts = [amounts.counted(int(tiles), "tile")] if tiles else []
    counts += [amounts.counted(int(files), "file"), amounts.size(int(n_bytes))]
    return f"to {recipient}: {', '.join(counts)}"
