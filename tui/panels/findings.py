"""What inference found on a slide, as text: areas as bars, tiles of classifiers, models."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from textual.content import Content

from appliance.line import Verdict
from appliance.settings import VerdictRules
from appliance.slides.classes import ARTIFACTS, SlideClass
from appliance.slides.findings import ArtifactArea, Findings, TileResult
from tui import amounts, words
from tui.panels.summary import LABEL_WIDTH, hanging, lines
from tui.rows import fitted, toned
from tui.words import Tone

LEAST_SCALE = 0.30
"""Bars of artifacts are full at this share of the tissue, or at the largest one."""
NUMBERS_WIDTH = 21
LIMIT_MARKS: Mapping[Verdict, str] = MappingProxyType({Verdict.REVIEW: "┊", Verdict.RESCAN: "│"})
"""Where on a bar an artifact asks for a verdict, the milder first."""
LONGEST_BAR = 44
DARK_LEVEL = 60
LIMIT = 1.0
"""Of unlikeness: from here on a slide does not look like what the models have learned from."""


def areas(findings: Findings | None, rules: VerdictRules, *, width: int) -> Content:
    """Draw area and share of each artifact as bars, with the limits of the verdict.

    Parameters
    ----------
    findings
        What inference found; None while it has not.
    rules
        Of the settings, where the findings do not tell which limits the verdict followed.
    width
        Cells to fill.
    """
    if findings is None:
        return toned("Not measured yet.", "quiet")
    found = [findings.artifact(kind) for kind in ARTIFACTS]
    scale = max([LEAST_SCALE, *(area.share_of_tissue for area in found)])
    limits = {verdict: _limits(findings, rules, verdict) for verdict in LIMIT_MARKS}
    room = max(4, min(LONGEST_BAR, width - LABEL_WIDTH - 3 - NUMBERS_WIDTH))
    parts = [
        Content.assemble(
            fitted(Content("  tissue"), LABEL_WIDTH + 3),
            (f"{findings.tissue_area_mm2:.1f} mm²", "bold"),
        )
    ]
    for kind, area in zip(ARTIFACTS, found, strict=True):
        own = {
            verdict: shares[kind.key] for verdict, shares in limits.items() if kind.key in shares
        }
        parts.append(_area(kind, area, own, scale=scale, room=room))
    parts.append(toned("┊ look at it   │ scan again", "quiet"))
    return lines(parts)


def _area(
    kind: SlideClass,
    area: ArtifactArea,
    limits: Mapping[Verdict, float],
    *,
    scale: float,
    room: int,
) -> Content:
    """Draw one artifact; its number carries the sign of the verdict that it asks for."""
    over = [verdict for verdict, limit in limits.items() if area.share_of_tissue >= limit]
    word = words.VERDICTS[over[-1]] if over else None
    tone: Tone = word.tone if word else "plain" if area.share_of_tissue else "quiet"
    filled, rest = amounts.bar(area.share_of_tissue / scale, room)
    bar = Content.assemble(toned(filled, tone), " " * len(rest))
    for verdict, limit in limits.items():
        if limit <= scale:
            place = min(room - 1, round(limit / scale * room))
            mark = toned(LIMIT_MARKS[verdict], "quiet")
            bar = Content.assemble(bar[:place], mark, bar[place + 1 :])
    number = f"{amounts.share(area.share_of_tissue):>7}{area.area_mm2:8.2f} mm²"
    sign = f" {word.glyph}" if word else ""
    return Content.assemble(
        swatch(kind),
        fitted(Content(kind.look.words), LABEL_WIDTH + 1),
        bar,
        toned(f"{number}{sign}", tone, bold=bool(word)),
    )


def _limits(findings: Findings, rules: VerdictRules, verdict: Verdict) -> Mapping[str, float]:
    """Give the limits that asked for a verdict: of the findings, else of the settings today."""
    today: Mapping[str, float] = getattr(rules, verdict.value)
    followed = findings.rules.get(verdict.value)
    return followed if isinstance(followed, dict) else today


def legend(findings: Findings | None) -> Content:
    """Name the colours of the artifacts that were found, with their shares, in a line."""
    if findings is None:
        return Content("")
    found = [(kind, findings.artifact(kind)) for kind in ARTIFACTS]
    parts = [
        Content.assemble(swatch(kind), f"{kind.look.words} {amounts.share(area.share_of_tissue)}")
        for kind, area in found
        if area.share_of_tissue > 0
    ]
    outline = Content.assemble(swatch(SlideClass.TISSUE), "edge of the tissue")
    return Content("   ").join([outline, *parts])


def swatch(kind: SlideClass) -> Content:
    """Show the colour that an artifact has in the picture."""
    red, green, blue = kind.look.rgb
    # On a dark screen a dark colour is only seen on the white of the glass.
    ground = " on rgb(245,243,245)" if max(red, green, blue) < DARK_LEVEL else ""
    return Content.assemble(("■", f"rgb({red},{green},{blue}){ground}"), " ")


def models(findings: Findings | None, *, width: int) -> Content | None:
    """Say what classifiers saw, which models ran and where, and what they warned of."""
    if findings is None:
        return None
    return lines(
        [
            hanging(toned(glyph, tone), text, width, tone)
            for glyph, text, tone in (*_warned(findings), *_seen(findings), *_ran(findings))
        ]
    )


Line = tuple[str, str, Tone]
"""A glyph, what stands beside it, and the tone of both."""


def _warned(findings: Findings) -> Iterator[Line]:
    for warning in findings.warnings:
        yield "! ", warning, "warn"
    unlike = findings.unlikeness
    if unlike is not None and unlike >= LIMIT:
        said = f"Unlike what the models have learned from: {unlike:.1f} times the limit."
        yield "! ", said, "warn"
    elif unlike is not None:
        yield "  ", f"Looks like what the models have learned from ({unlike:.1f} of 1).", "quiet"


def _seen(findings: Findings) -> Iterator[Line]:
    for result in findings.tile_results:
        yield "  ", _tiles(result), "plain"


def _tiles(result: TileResult) -> str:
    """Say what a classifier saw, and whether it is an estimate."""
    said = f"{result.title} {amounts.share(result.share_of_tissue)} of the tissue"
    remote = result.remote
    if remote is None:
        highest = f"{result.highest:.2f}, counted from {result.threshold:g}"
        return f"{said}, {result.area_mm2:.2f} mm²; the surest tile {highest}"
    if remote.low is None or remote.high is None:
        return said
    between = f"{amounts.share(remote.low)} to {amounts.share(remote.high)}"
    return f"{said}, an estimate ({between}) from {amounts.share(remote.seen_share)} of it"


def _ran(findings: Findings) -> Iterator[Line]:
    for model in findings.models:
        digest = words.short_digests(model.digest)
        said = f"{model.name} {model.version} {model.where}, {model.um_px:g} µm/px, {digest}"
        yield "  ", said, "quiet"
