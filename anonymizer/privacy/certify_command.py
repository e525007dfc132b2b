"""The command `coverslip privacy certify`: sign what the attack found out about a route's plan."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.certificate import Figure, Measurement
    from appliance.settings import ColouredTiles

DOES_NOT_HOLD = 1


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add `coverslip privacy certify`."""
    certify = subparsers.add_parser(
        "certify", help="sign what the attack could rebuild of a route's tiles"
    )
    certify.add_argument("route", metavar="ROUTE")
    certify.add_argument(
        "--slides",
        type=Path,
        metavar="DIR",
        help="measure on these slides of the site, one DICOM folder a slide; "
        "without it the plan has to be one that was measured with the appliance",
    )
    certify.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sign the measurement, show it, and give 0 only when the plan holds."""
    from anonymizer.keys.audit import note
    from anonymizer.keys.files import read_sign_key
    from appliance.certificate import write_certificate
    from appliance.errors import ForbiddenAction
    from appliance.settings import ColouredTiles, load

    settings = load(arguments.settings)
    policy = settings.route(arguments.route).policy
    if not isinstance(policy, ColouredTiles):
        raise ForbiddenAction(f"The route {arguments.route} sends no coloured tiles.")
    measurement = _measurement(policy, arguments.slides)
    signed = read_sign_key(settings.keys.folder)
    words = "holds" if measurement.holds else "does not hold"
    note(settings, "certificate", f"Route {arguments.route}: its release plan {words}.")
    path = write_certificate(settings.keys.folder, measurement, signed)
    for line in lines(measurement):
        print(line)
    print(f"The plan of {arguments.route} {words}: {path}")
    return 0 if measurement.holds else DOES_NOT_HOLD


def _measurement(policy: "ColouredTiles", slides: Path | None) -> "Measurement":
    from anonymizer.privacy.measured import bundled
    from appliance.errors import ConfigError

    if slides is not None:
        from anonymizer.privacy.slides import measure_slides

        return measure_slides(slides, policy)
    known = bundled().get(policy.plan_digest)
    if known is None:
        raise ConfigError(
            "This plan was never measured; measure it on slides of the site: "
            "coverslip privacy certify ROUTE --slides DIR"
        )
    return known


def lines(measurement: "Measurement") -> Iterator[str]:
    """Give the measurement as a table: tissue, who attacks, figure, chance, limit."""
    terms = " ".join(f"{name}={value:g}" for name, value in sorted(measurement.plan.items()))
    yield f"plan {terms}, measured {measurement.measured_on} with Coverslip {measurement.software}"
    for corpus in measurement.corpora:
        scale = "" if corpus.um_px is None else f", {corpus.um_px:g} µm/px"
        yield f"  {corpus.name:<28}{corpus.kind}{scale}, {corpus.n_tiles} tiles"
    for figure in measurement.figures:
        yield _line(figure)


def _line(figure: "Figure") -> str:
    chance = "" if figure.chance is None else f"{figure.chance:9.4f}"
    limit = "" if figure.limit is None else f"{'≥' if figure.at_least else '≤'} {figure.limit:.4f}"
    judged = "" if figure.limit is None else ("  holds" if figure.holds else "  DOES NOT HOLD")
    return (
        f"  {figure.corpus:<28}{figure.seen_by:<16}{figure.name:<16}{figure.value:9.4f}"
        f"{chance:>9} {limit:<9}{judged}  n={figure.n}"
    )
