"""`coverslip infer` (the daemon) and `coverslip models`."""

import argparse

from inference import model_commands


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the sub-commands of this package."""
    infer = subparsers.add_parser("infer", help="run the daemon that infers and reports")
    infer.set_defaults(run=_infer)
    model_commands.register(subparsers)


def _infer(arguments: argparse.Namespace) -> int:
    from appliance.daemon import Daemon, open_journal
    from appliance.line import Stage
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.worker import Worker
    from inference.facts import infer_facts
    from inference.model import bundle
    from inference.remote.models import remote_models
    from inference.running import engine
    from inference.running.predict import Predictor
    from inference.stage import infer_handler, report_handler

    settings = load(arguments.settings)
    engine.require_device(settings.inference.device)
    models = bundle.configured_models(settings.inference)
    remotes = remote_models(settings.routes)
    workers = engine.worker_count(settings.inference.workers)
    predictor = Predictor(
        models,
        device=settings.inference.device,
        workers=workers,
        limit_s=settings.inference.model_limit_s,
    )
    journal, root = open_journal(settings), Root(settings.storage.root)
    infer = Worker(
        journal=journal,
        root=root,
        stage=Stage.INFER,
        handle=infer_handler(predictor, settings.verdict, remotes=remotes),
    )
    report = Worker(
        journal=journal,
        root=root,
        stage=Stage.REPORT,
        handle=report_handler(settings.report),
    )

    def infer_step() -> bool:
        predictor.check()
        return infer.step()

    words = f"{' and '.join(sorted(set(predictor.devices)))}, {workers} workers"
    daemon = Daemon(
        name="infer",
        settings=settings,
        journal=journal,
        steps=[*(infer_step for _ in range(predictor.slides)), report.step],
        words=words,
        facts=lambda: infer_facts(predictor, remotes, workers),
    )
    try:
        return daemon.run()
    finally:
        predictor.close()
