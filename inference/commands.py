"""`coverslip infer` (the daemon), `coverslip models list | check`, `coverslip analyze`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from appliance.slides.findings import Findings
    from inference.model.manifest import Model


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the sub-commands of this package."""
    infer = subparsers.add_parser("infer", help="run the daemon that infers and reports")
    infer.set_defaults(run=_infer)
    _register_models(subparsers)
    analyze = subparsers.add_parser(
        "analyze", help="judge one slide offline: SR, SEG, picture and JSON into a folder"
    )
    analyze.add_argument("source", type=Path, metavar="SRC", help="folder or file of DICOM images")
    analyze.add_argument("target", type=Path, metavar="DST", help="folder for the results")
    analyze.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    analyze.add_argument("--workers", type=int, default=0, help="0 means one a core")
    analyze.add_argument("--json", action="store_true", help="print the summary as JSON")
    analyze.set_defaults(run=_analyze)


def _register_models(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    models = subparsers.add_parser("models", help="list or check the models")
    actions = models.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the models that come with the appliance")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list_models)
    check = actions.add_parser("check", help="load and try each model that the settings name")
    check.set_defaults(run=_check_models)


def _infer(arguments: argparse.Namespace) -> int:
    from appliance.daemon import Daemon, open_journal
    from appliance.line import Stage
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.worker import Worker
    from inference.model import bundle
    from inference.running import engine
    from inference.running.predict import Predictor
    from inference.stage import infer_handler, report_handler

    settings = load(arguments.settings)
    engine.require_device(settings.inference.device)
    models = bundle.configured_models(settings.inference)
    workers = engine.worker_count(settings.inference.workers)
    predictor = Predictor(models, device=settings.inference.device, workers=workers)
    journal, root = open_journal(settings), Root(settings.storage.root)
    infer = Worker(
        journal=journal,
        root=root,
        stage=Stage.INFER,
        handle=infer_handler(predictor, settings.verdict),
    )
    report = Worker(
        journal=journal, root=root, stage=Stage.REPORT, handle=report_handler(settings.verdict)
    )
    words = f"{' and '.join(sorted(set(predictor.devices)))}, {workers} workers"
    daemon = Daemon(
        name="infer",
        settings=settings,
        journal=journal,
        steps=[infer.step, report.step],
        words=words,
    )
    try:
        return daemon.run()
    finally:
        predictor.close()


def _list_models(arguments: argparse.Namespace) -> int:
    from inference.model import bundle
    from inference.model.manifest import load_model

    models = [load_model(folder) for folder in bundle.bundled_models()]
    if arguments.json:
        print(json.dumps([_described(model) for model in models], indent=1))
        return 0
    for model in models:
        print(f"{model.name} {model.version}: {model.task} at {model.um_px:g} µm/px")
        print(f"  {model.intended_use}")
        print(f"  trained on: {model.trained_on}")
        for figure in model.accuracy:
            print(f"  {figure.metric} {figure.value:.3f} on {figure.data} (n = {figure.n})")
        print(f'  folder = "{bundle.PREFIX}{model.folder.name}"')
        print(f'  digest = "{bundle.DIGEST_PREFIX}{model.digest}"')
    return 0


def _described(model: "Model") -> dict[str, Any]:
    from inference.model import bundle

    return {
        "name": model.folder.name,
        "model": model.name,
        "version": model.version,
        "task": model.task,
        "um_px": model.um_px,
        "folder": f"{bundle.PREFIX}{model.folder.name}",
        "digest": f"{bundle.DIGEST_PREFIX}{model.digest}",
        "licence": model.licence,
        "intended_use": model.intended_use,
        "accuracy": [
            {"data": row.data, "n": row.n, "metric": row.metric, "value": row.value}
            for row in model.accuracy
        ],
    }


def _check_models(arguments: argparse.Namespace) -> int:
    from appliance.settings import load
    from inference.model import bundle
    from inference.running import engine

    settings = load(arguments.settings)
    models = bundle.configured_models(settings.inference)
    for model in (models.tissue, models.artifact):
        session = engine.Session(model, device=settings.inference.device)
        session.run(engine.blank(model.tile_px))
        print(f"{model.name} {model.version}: good, runs on the {session.device}")
    return 0


def _analyze(arguments: argparse.Namespace) -> int:
    from inference.offline.analyze import analyze

    def progress(fraction: float, words: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{100 * fraction:3.0f} % {words:<40}", end="", file=sys.stderr, flush=True)

    findings = analyze(
        arguments.source,
        arguments.target,
        device=arguments.device,
        workers=arguments.workers,
        progress=progress,
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if arguments.json:
        print((arguments.target / "summary.json").read_text(encoding="utf-8"), end="")
    else:
        _print_table(findings, arguments.target)
    return 0


def _print_table(findings: "Findings", target: Path) -> None:
    print(f"{findings.verdict.value.upper()}  {findings.reason}")
    print(f"{'tissue':<14}{findings.tissue_area_mm2:>10.3f} mm²")
    for area in findings.artifacts:
        words = area.name.replace("_", " ")
        print(
            f"{words:<14}{area.area_mm2:>10.3f} mm²{100 * area.share_of_tissue:>8.2f} % of tissue"
        )
    for warning in findings.warnings:
        print(f"warning: {warning}")
    print(f"written to {target}")
