"""What the attack rebuilds of tiles without a plan, shuffled only, and by each of our plans.

Real tissue (`privacy_slides`), tiles of 64 to 256 px, every pair score, some keys. Prints what was
measured beside chance and limit, the aims, and one line `RESULT name=value …`; the exit code is 0
only when every aim is met. A long run writes the facts that certificates are made of
(`anonymizer/privacy/measured/`). `QUICK=1` does a short form in under a minute, which writes none.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from anonymizer.attack.attack import attack, collusions
from anonymizer.attack.figures import AttackReport, Collusion
from anonymizer.attack.learned import Learned, train
from anonymizer.privacy import measured
from anonymizer.privacy.certify_command import lines
from anonymizer.privacy.measure import (
    ENOUGH_TILES,
    attack_works,
    measurement_of,
    run_batch,
    run_plan,
)
from anonymizer.privacy.releases import each_recipient, n_cells, planned, shuffled, without_plan
from anonymizer.privacy.slides import FEWEST_CELLS
from anonymizer.privacy.tissue import Tissue
from appliance.certificate import Measurement
from appliance.settings import ColouredTiles
from benchmarks import privacy_slides

QUICK = bool(os.environ.get("QUICK"))
LEAST_WITHOUT_PLAN: Final = 0.95
AIMED_PX: Final = 128
"""Tiles half as large have so little border that fat and glass alone make up whole borders."""
MOST_TILES: Final = 2_000
"""Tissue that gives one recipient more is left out: the time grows with their square."""
FACTS: Final = Path(measured.__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Terms that are measured, and with how many keys."""

    cell_px: int
    crop_px: int
    colours: int
    n_keys: int

    @property
    def name(self) -> str:
        """Short name of it."""
        return f"{self.cell_px}-{self.crop_px}-{self.colours}"

    @property
    def policy(self) -> ColouredTiles:
        """As the settings would have it."""
        return ColouredTiles(
            mechanism="coloured_tiles",
            statement="Measured only; nothing leaves.",
            cell_px=self.cell_px,
            crop_px=self.crop_px,
            colours=4 if self.colours == 4 else 2,  # noqa: PLR2004
        )


PLANS: Final = (
    Plan(cell_px=256, crop_px=192, colours=4, n_keys=4),
    Plan(cell_px=256, crop_px=160, colours=4, n_keys=3),
    Plan(cell_px=128, crop_px=96, colours=4, n_keys=2),
    Plan(cell_px=128, crop_px=96, colours=2, n_keys=1),
    Plan(cell_px=64, crop_px=32, colours=4, n_keys=1),
)
"""What we certify; the first is the default of the settings."""
SHOWN: Final = (Plan(cell_px=256, crop_px=192, colours=2, n_keys=2),)
"""Measured so that one sees where it ends; no aim."""
DEFAULT: Final = PLANS[0]


@dataclass(slots=True)
class Verdict:
    """What comes last: aims and the numbers of the RESULT line."""

    met: dict[str, bool]
    numbers: dict[str, float]


def main() -> int:
    """Run it, print it, and give the exit code."""
    verdict = Verdict(met={}, numbers={})
    _tell_tissue()
    for tile_px in (128,) if QUICK else (64, 128):
        _attack_without(tile_px, verdict)
    for plan in PLANS[:1] if QUICK else (*PLANS, *SHOWN):
        found = _attack_plan(plan)
        _judge(plan, found, verdict)
    _collude(DEFAULT, verdict)
    for words, met in verdict.met.items():
        print(f"{'met' if met else 'MISSED':<8}{words}")
    print("RESULT " + " ".join(f"{name}={value:g}" for name, value in verdict.numbers.items()))
    return 0 if all(verdict.met.values()) else 1


def _tell_tissue() -> None:
    sizes = (64, 128, 256)
    print(f"{'tissue':<40}{'µm/px':>8}" + "".join(f"{size:>8} px" for size in sizes) + "  tiles")
    everything = (*privacy_slides.slides(), *_single_fields(), privacy_slides.generated())
    for tissue in everything:
        counts = [n_cells(tissue, size) for size in sizes]
        scale = "-" if tissue.um_px is None else f"{tissue.um_px:g}"
        words = f"{tissue.name} ({tissue.kind})"
        print(f"{words:<40}{scale:>8}" + "".join(f"{count:>11}" for count in counts))


def _single_fields() -> Iterator[Tissue]:
    """Give the images one by one, but the many small ones of one set together."""
    fields = privacy_slides.fields()
    small = tuple(one for one in fields if one.slide.startswith(privacy_slides.NUCLEI_SET))
    for one in fields:
        if one not in small:
            yield Tissue(name=one.slide, kind="real", um_px=None, pieces=(one,))
    name = f"{privacy_slides.NUCLEI_SET}, {len(small)} images"
    yield Tissue(name=name, kind="real", um_px=None, pieces=small)


def _tissues(cell_px: int, *, n_parts: int = 1) -> Iterator[Tissue]:
    """Give what is attacked in `n_parts`: slides, all that is real as one puzzle, the generated."""
    if QUICK:
        yield privacy_slides.slides()[1]
        return
    together = privacy_slides.all_real(cell_px=cell_px)
    for tissue in (*_slides(cell_px), together, privacy_slides.generated()):
        if n_cells(tissue, cell_px) <= MOST_TILES * n_parts:
            yield tissue


def _slides(cell_px: int) -> tuple[Tissue, ...]:
    """Give the real slides that have cells enough of this size."""
    slides = privacy_slides.slides()
    return tuple(one for one in slides if n_cells(one, cell_px) >= FEWEST_CELLS)


def _attack_without(tile_px: int, verdict: Verdict) -> None:
    """Show that the attack works: on touching tiles, in order, then shuffled and turned."""
    words = f"tiles of {tile_px} px, touching"
    head = f"\n{words:<40}{'tiles':>7}{'top-1':>8}{'chance':>8}{'top-5':>8}"
    print(f"{head}{'AUC':>7}{'Nc':>7}{'Lc':>7}{'Dc':>7}  score, open side channels")
    everything = privacy_slides.slides()[:2] if QUICK else _tissues(tile_px)
    for tissue in everything:
        for words, release in (
            ("no plan", without_plan(tissue, tile_px=tile_px)),
            ("shuffled", shuffled(tissue, tile_px=tile_px, seed=1)),
        ):
            report = attack(*release, scores=("ssd", "pred", "mgc", "gap"))
            top_1 = _tell(f"{tissue.name}, {words}", report)
            if tissue.kind == "generated" or tile_px != AIMED_PX or report.n_tiles < ENOUGH_TILES:
                continue
            name = f"top-1 of {tissue.name}, {tile_px} px, {words}"
            if words == "no plan":
                verdict.met[f"{name} ≥ {LEAST_WITHOUT_PLAN:.0%}"] = top_1 >= LEAST_WITHOUT_PLAN
            key = f"{words.replace(' ', '_')}_top1_least"
            verdict.numbers[key] = round(min(verdict.numbers.get(key, 1.0), top_1), 4)


def _tell(words: str, report: AttackReport) -> float:
    """Print the strongest attack; give its top-1."""
    best = report.strongest("edge")
    if best is None or best.top_1.value is None or report.rebuilt is None:
        print(f"{words:<40}{report.n_tiles:>7}  no pairs")
        return 0.0
    made = report.rebuilt
    shares = "".join(f"{(one.value or 0.0):>7.1%}" for one in (made.nc, made.lc, made.dc))
    opened = " ".join(channel.name for channel in report.open_channels) or "none"
    print(f"{words:<40}{report.n_tiles:>7}{best.top_1.value:>8.1%}{best.top_1.chance or 0:>8.2%}"
          f"{best.top_5.value or 0:>8.1%}{best.auc.value or 0:>7.3f}{shares}  "
          f"{best.score}, {opened}")  # fmt: skip
    return best.top_1.value


def _attack_plan(plan: Plan) -> Measurement:
    """Attack every recipient of a plan on all tissue; keep the facts."""
    started = time.monotonic()
    keys = [f"key {number} of this benchmark".encode() for number in range(plan.n_keys)]
    keys = keys[:1] if QUICK else keys
    runs = [
        run_plan(tissue, plan.policy, keys=keys, learned=_learned_elsewhere(tissue, plan))
        for tissue in _tissues(plan.cell_px, n_parts=plan.colours)
    ]
    batch = run_batch(privacy_slides.batch(), plan.policy, key=keys[0])
    works = attack_works(privacy_slides.slides()[0])
    found = measurement_of(plan.policy, runs, batch=batch, works=works)
    print("\n" + "\n".join(lines(found)))
    print(f"  took {time.monotonic() - started:.0f} s", flush=True)
    if not QUICK:
        _keep(plan, found)
    return found


def _judge(plan: Plan, found: Measurement, verdict: Verdict) -> None:
    if plan in PLANS:
        verdict.met[f"plan {plan.name} holds"] = found.holds
    for figure in found.figures:
        if figure.limit and not figure.at_least:
            name = f"{figure.name.split()[0]}_of_limit_{plan.name}"
            _worse(verdict, name, round(figure.value / figure.limit, 3))


def _worse(verdict: Verdict, name: str, value: float) -> None:
    verdict.numbers[name] = max(verdict.numbers.get(name, 0.0), value)


def _keep(plan: Plan, found: Measurement) -> None:
    content = json.dumps(found.to_table(), sort_keys=True, indent=1, ensure_ascii=False)
    (FACTS / f"cells-{plan.name}.json").write_text(content + "\n", encoding="utf-8")


def _learned_elsewhere(tissue: Tissue, plan: Plan) -> Learned:
    """Train on other tissue: for the whole puzzle that is the generated slide."""
    return _trained(plan, on_generated=tissue.kind == "arranged")


@cache
def _trained(plan: Plan, *, on_generated: bool) -> Learned:
    fields = privacy_slides.all_fields(cell_px=plan.cell_px)
    tissue = privacy_slides.generated() if on_generated else fields
    return train(each_recipient(tissue, plan.policy, key=b"the attacker's own"))


def _collude(plan: Plan, verdict: Verdict) -> None:
    """Tell what recipients gain who put their tiles together: told, since no plan can stop it."""
    tissue = privacy_slides.slides()[1]
    release = planned(tissue, plan.policy, key=b"collusion")
    print(f"\nplan {plan.name}, {tissue.name}: recipients who put their tiles together")
    for one in sorted(collusions(*release), key=lambda one: len(one.recipients)):
        print("  " + "  ".join(_colluding(one)))
        _worse(verdict, f"matcher_lc_of_{len(one.recipients)}", round(one.perfect.value or 0.0, 4))


def _colluding(one: Collusion) -> Iterator[str]:
    yield f"{len(one.recipients)}: {', '.join(one.recipients):<40}{one.n_tiles:>5} tiles"
    for relation, ranking in one.strongest.items():
        top_1 = ranking.top_1
        yield f"{relation} top-1 {top_1.value or 0.0:.1%} (chance {top_1.chance or 0.0:.2%})"
    yield f"perfect matcher Lc {one.perfect.value or 0.0:.1%}"


if __name__ == "__main__":
    sys.exit(main())
