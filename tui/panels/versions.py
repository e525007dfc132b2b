"""What runs here: models and where they run, keys by name, versions of software and stores. Pure.

Keys are named as release names them: a public name of 16 digits, from which nothing follows.
"""

from textual.content import Content

from appliance.facts import KeyAge, LoadedModel
from appliance.line import DAEMONS, Stage
from tui import amounts, words
from tui.panels.summary import hanging, lines
from tui.rows import fitted, toned
from tui.view import View

LABEL_WIDTH = 12
NAME_WIDTH = 26
DEVICE_WIDTH = 10
KEY_WIDTH = 18
DIGEST_LENGTH = 12
TASKS = {"tissue": "tissue", "artifact": "artifacts", "tiles": "tiles"}
INFER, RELEASE = DAEMONS[Stage.INFER], DAEMONS[Stage.RELEASE]


def models(view: View, _width: int) -> Content:
    """Show the models that judge slides, with digest and the processor that they really use."""
    found = view.system.of(INFER).models if view.system else ()
    if not found:
        return toned(_unasked(view, INFER, "its models"), "quiet")
    return lines([_model(model) for model in found])


def keys(view: View, _width: int) -> Content:
    """Show which keys are in use, and how old they are."""
    found = view.system.of(RELEASE).keys if view.system else ()
    if not found:
        return toned(_unasked(view, RELEASE, "its keys"), "quiet")
    return lines([_key(key, view.now) for key in found])


def software(view: View, width: int) -> Content:
    """Show the versions of the software and of what it keeps, and who runs another."""
    if view.system is None or view.system.versions is None:
        return toned("Not asked yet.", "quiet")
    own = view.system.versions
    told = view.system.told.values()
    stores = {one.store: one.schema for answer in told for one in answer.facts.stores}
    schemas = ", ".join(f"{store} {_revision(schema)}" for store, schema in sorted(stores.items()))
    parts = [
        _labelled("Coverslip", own.coverslip, width),
        _labelled("runs with", f"Python {own.python}, Textual {own.textual}", width),
        _labelled("stores", schemas or "not known yet", width),
    ]
    differ = [
        f"{answer.daemon} {answer.version}"
        for answer in told
        if answer.version not in ("", own.coverslip)
    ]
    if differ:
        sentence = f"Restart these daemons, which run another version: {', '.join(differ)}."
        parts.append(hanging(Content("! "), sentence, width).stylize(words.TONES["warn"]))
    return lines(parts)


def _model(model: LoadedModel) -> Content:
    where = model.device if not model.recipient else f"at {model.recipient}"
    return Content.assemble(
        fitted(Content.styled(f"{model.name} {model.version}", "bold"), NAME_WIDTH),
        fitted(Content(where.upper() if where in ("cpu", "gpu") else where), DEVICE_WIDTH),
        toned(f"{model.digest[:DIGEST_LENGTH]}  {TASKS.get(model.task, model.task)}", "quiet"),
    )


def _key(key: KeyAge, now: float) -> Content:
    age = f"{amounts.lasting(now - key.since)} old" if key.since else "age not known"
    more = f", {amounts.counted(key.n_earlier, 'earlier key')} too" if key.n_earlier else ""
    return Content.assemble(
        fitted(Content.styled(key.name, "bold"), LABEL_WIDTH),
        fitted(Content(key.key_id), KEY_WIDTH),
        toned(f"{age}{more}", "quiet"),
    )


def _labelled(label: str, text: str, width: int) -> Content:
    return hanging(fitted(toned(label, "quiet"), LABEL_WIDTH), text, width)


def _revision(schema: str) -> str:
    return schema.rpartition("_")[2]


def _unasked(view: View, daemon: str, what: str) -> str:
    if view.system is None:
        return "Not asked yet."
    return view.system.silent.get(daemon, f"The {daemon} daemon did not tell {what}.")
