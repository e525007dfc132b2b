"""`coverslip models list | check | bench | import`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.model.manifest import Model
    from inference.running.bench import Row


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `models` and its actions."""
    models = subparsers.add_parser("models", help="list, check, time or bring models")
    actions = models.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list", help="the models that come with the appliance, or those of the folders"
    )
    listing.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list)
    check = actions.add_parser("check", help="load and try each model that the settings name")
    check.set_defaults(run=_check)
    bench = actions.add_parser("bench", help="how fast each model runs on this machine")
    bench.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    bench.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    bench.add_argument("--workers", type=int, default=0, help="0 means one a core")
    bench.add_argument("--seconds", type=float, default=0.5, help="for each row of the table")
    bench.add_argument("--json", action="store_true")
    bench.set_defaults(run=_bench)
    _register_import(actions)


def _register_import(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from inference.importing import questions

    bring = actions.add_parser(
        "import",
        help="make a model folder of an ONNX or PyTorch file",
        description="Makes a model folder of an ONNX file or of TorchScript, which is a program: "
        "take it only from people you trust. Tries whether the model gives the numbers that the "
        "original gives. What the flags leave out is asked for on a terminal. See "
        "docs/bring-your-model.md.",
    )
    bring.add_argument("source", type=Path, metavar="SRC")
    bring.add_argument("target", type=Path, metavar="DST", help="folder to be made")
    questions.add_flags(bring)
    bring.set_defaults(run=_import)


def _list(arguments: argparse.Namespace) -> int:
    models = _named(arguments.folders)
    if arguments.json:
        print(json.dumps([_described(model) for model in models], indent=1))
        return 0
    for model in models:
        print(f"{model.name} {model.version}: {model.task} at {model.um_px:g} µm/px")
        print(f"  {model.intended_use}")
        print(f"  trained on: {model.trained_on}")
        for words, concepts in (("stains", model.stains), ("body sites", model.body_sites)):
            if concepts:
                print(f"  {words}: {', '.join(concept.meaning for concept in concepts)}")
        for figure in model.accuracy:
            interval = "" if figure.low is None else f", 95 % {figure.low:.3f} to {figure.high:.3f}"
            print(
                f"  {figure.metric} {figure.value:.3f} on {figure.data} (n = {figure.n}{interval})"
            )
        for key, value in _pinned(model).items():
            print(f'  {key} = "{value}"')
    return 0


def _named(folders: list[Path]) -> "list[Model]":
    from inference.model import bundle
    from inference.model.manifest import load_model

    named = map(bundle.folder_of, folders) if folders else bundle.bundled_models()
    return [load_model(folder) for folder in named]


def _pinned(model: "Model") -> dict[str, str]:
    """Give the lines of the settings that name a model."""
    from inference.model import bundle

    bundled = model.folder.parent == bundle.BUNDLED
    folder = f"{bundle.PREFIX}{model.folder.name}" if bundled else str(model.folder.resolve())
    return {"folder": folder, "digest": f"{bundle.DIGEST_PREFIX}{model.digest}"}


def _described(model: "Model") -> dict[str, Any]:
    return {
        "name": model.folder.name,
        "model": model.name,
        "version": model.version,
        "task": model.task,
        "um_px": model.um_px,
        **_pinned(model),
        "licence": model.licence,
        "intended_use": model.intended_use,
        "stains": [concept.model_dump() for concept in model.stains],
        "body_sites": [concept.model_dump() for concept in model.body_sites],
        "accuracy": [row.model_dump(exclude_none=True) for row in model.accuracy],
    }


def _check(arguments: argparse.Namespace) -> int:
    from appliance.settings import load
    from inference.model import bundle
    from inference.remote.models import remote_models
    from inference.running import engine
    from inference.running.watchdog import Watchdog

    settings = load(arguments.settings)
    watchdog = Watchdog(settings.inference.model_limit_s)
    for model in bundle.configured_models(settings.inference).everyone:
        session = engine.Session(model, device=settings.inference.device, watchdog=watchdog)
        session.run(engine.blank(model.tile_px))
        print(f"{model.name} {model.version}: good, runs on the {session.device}")
    for remote in remote_models(settings.routes).values():
        model, route = remote.model, remote.route
        print(f"{model.name} {model.version}: good, runs at {remote.recipient} (route {route})")
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from inference.running import engine
    from inference.running.bench import measured

    workers = engine.worker_count(arguments.workers)
    rows: list[Row] = []
    for model in _named(arguments.folders):
        found = measured(model, device=arguments.device, workers=workers, seconds=arguments.seconds)
        rows += found
        if not arguments.json:
            _print_rows(model, found)
    if arguments.json:
        print(json.dumps([row.as_json() for row in rows], indent=1))
    return 0


def _print_rows(model: "Model", rows: "list[Row]") -> None:
    print(
        f"{model.name} {model.version}: {model.tile_px} px at {model.um_px:g} µm/px, "
        f"on the {rows[0].device}"
    )
    print(f"  {'tiles':<8}{'workers':>8}{'batch':>7}{'tiles/s':>10}{'MP/s':>8}{'ms a tile':>11}")
    for row in rows:
        print(
            f"  {row.tiles:<8}{row.workers:>8}{row.batch:>7}{row.tiles_s:>10.1f}"
            f"{row.mp_s:>8.2f}{row.ms_tile:>11.2f}"
        )


def _import(arguments: argparse.Namespace) -> int:
    from inference.importing import answers, questions
    from inference.importing.bring import bring

    given = questions.answered(arguments, _ask if sys.stdin.isatty() else None)
    brought = bring(
        arguments.source,
        arguments.target,
        answers.manifest_of(given),
        answers.wanted_of(given),
        example=answers.example_of(given),
    )
    model = brought.model
    print(f"{model.name} {model.version}: {model.task} at {model.um_px:g} µm/px, good.")
    print(f"It gives what the original gives, to {brought.difference:.1e} of a probability.")
    print("For the settings:\n")
    print("[[inference.models]]")
    for key, value in _pinned(model).items():
        print(f'{key} = "{value}"')
    return 0


def _ask(words: str) -> str:
    from appliance.errors import ConfigError

    try:
        return input(words)
    except EOFError as error:
        raise ConfigError("models import was ended before all questions were answered.") from error
