"""A model of somebody else's becomes a model folder that gives the same numbers, or is refused."""

import argparse
import contextlib
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import ConfigError, ModelError
from appliance.settings import Inference
from appliance.settings import Model as Pinned
from inference.commands import register
from inference.importing.manifest_text import as_toml
from inference.importing.questions import QUESTIONS, add_flags, answered
from inference.model import bundle
from inference.model.manifest import Model, load_model
from inference.running.engine import CPU, Session
from inference.running.predict import Predictor
from tests.inference import brought_models as brought
from tests.inference.conftest import open_folder, quiet

NORMAL, TUMOUR = "normal=SCT:17621005:Normal", "tumour=SCT:108369006:Neoplasm"
H_AND_E = "SCT:104210008:Hematoxylin and eosin stain method"
MEAN, STD = (0.7, 0.5, 0.6), (0.2, 0.25, 0.3)
FLAGS = {
    "--name": "brought",
    "--task": "tiles",
    "--um-px": "0.5",
    "--licence": "CC0-1.0",
    "--intended-use": "A test.",
    "--trained-on": "nothing",
    "--channels": "RGB",
    "--layout": "NCHW",
    "--mean": "0.7,0.5,0.6",
    "--std": "0.2,1/4,0.3",
    "--gives": "logits",
}
AS_THEY_ARE = {"--mean": "0,0,0", "--std": "1,1,1"}


def coverslip(*words: object) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    arguments = parser.parse_args([str(word) for word in words])
    return int(arguments.run(arguments))


@pytest.fixture
def bring(tmp_path: Path) -> Callable[..., Model]:
    """Import the bytes of a file with flags that differ from `FLAGS`."""

    def run(
        content: bytes, *more: object, classes: tuple[str, ...] = (NORMAL, TUMOUR), **flags: str
    ) -> Model:
        source = tmp_path / "theirs.bin"
        source.write_bytes(content)
        named = {f"--{name.replace('_', '-')}": value for name, value in flags.items()}
        words: list[object] = [word for item in (FLAGS | named).items() for word in item]
        words += [word for name in classes for word in ("--class", name)]
        coverslip("models", "import", source, tmp_path / "ours", *words, *more)
        return load_model(tmp_path / "ours")

    return run


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("made", "flags"),
    [
        ({}, {}),
        ({"axes": ("n", "h", "w", 3)}, {"layout": "NHWC", "tile_px": "32", "channels": "BGR"}),
        ({"dtype": np.float16}, {"channels": "BGR"}),
        ({"end": "Softmax"}, {"gives": "probabilities"}),
        ({"dtype": np.uint8}, {"mean": "0,0,0", "std": "1,1,1"}),
    ],
    ids=["plain", "BGR, channels last, free sides", "half", "softmax inside", "uint8"],
)
def test_pixels_go_in_and_the_probabilities_of_the_formula_come_out(
    bring: Callable[..., Model], made: dict[str, Any], flags: dict[str, str]
) -> None:
    weights = brought.WEIGHTS if made.get("dtype") != np.uint8 else brought.WEIGHTS / 255
    model = bring(brought.classifier(**made, weights=weights), **flags)
    tiles = np.random.default_rng(5).integers(0, 256, (4, 32, 32, 3), np.uint8)
    found = Session(model, device=CPU).run(tiles)
    colour = tiles.mean(axis=(1, 2)) / 255
    if made.get("dtype") != np.uint8:
        colour = (colour - MEAN) / STD
    if flags.get("channels") == "BGR":
        colour = colour[:, ::-1]
    expected = softmax(colour @ brought.WEIGHTS + brought.BIAS)
    assert found == pytest.approx(expected, abs=5e-3 if made.get("dtype") == np.float16 else 1e-4)
    assert expected.std() > 0.01  # the tiles tell something


def test_one_logit_becomes_the_probabilities_of_two_classes(bring: Callable[..., Model]) -> None:
    weights, bias = brought.WEIGHTS[:, :1], brought.BIAS[:1]
    model = bring(brought.classifier(weights=weights, bias=bias), gives="one_logit")
    tile = np.random.default_rng(5).integers(0, 256, (1, 32, 32, 3), np.uint8)
    colour = (tile.mean(axis=(1, 2)) / 255 - MEAN) / STD
    second = 1 / (1 + np.exp(-(colour @ weights + bias)))
    found = Session(model, device=CPU).run(tile)
    assert found == pytest.approx(np.hstack([1 - second, second]), abs=1e-4)


def test_one_of_several_outputs_is_taken_by_name(bring: Callable[..., Model]) -> None:
    with pytest.raises(ModelError, match="outputs features, logits"):
        bring(brought.two_outputs())
    assert len(bring(brought.two_outputs(), "--output", "logits").classes) == 2


def test_a_tissue_model_takes_any_sides_and_an_artifact_model_its_own(
    bring: Callable[..., Model], tmp_path: Path
) -> None:
    names = ("background", "tissue")
    with pytest.raises(ModelError, match="any sides"):
        bring(brought.segmenter(axes=("n", 3, 64, 64)), task="tissue", classes=names)
    tissue = bring(brought.segmenter(), task="tissue", classes=names)
    found = Session(tissue, device=CPU).run(np.zeros((2, 96, 32, 3), np.uint8))
    assert found.shape == (2, 96, 32, 2)
    (tmp_path / "ours").rename(tmp_path / "tissue")
    artifact = bring(
        brought.segmenter(axes=("n", 3, 64, 64)), task="artifact", classes=("background", "fold")
    )
    assert artifact.tile_px == 64
    assert artifact.classes[1].code.value == "fold"


@pytest.mark.parametrize(
    ("content", "flags", "sentence"),
    [
        (brought.with_node("Blur"), {}, "operator Blur, which ONNX has not"),
        (brought.with_node("Blur", domain="com.example"), {}, "custom operators"),
        (brought.external(), {}, "weights in another file"),
        (b"something else", {}, "not a readable ONNX file"),
        (brought.classifier(opset=28), {}, "does not know opset 28"),
        (brought.classifier(opset=9), {}, "opset 9; export it again"),
        (brought.classifier(axes=("n", 3, "h", "w")), {}, "--tile-px"),
        (brought.classifier(axes=("n", 3, 32, 32)), {"tile_px": "64"}, "not take tiles of 64"),
        (brought.classifier(axes=(1, 3, 32, 32)), {}, "exactly 1 tiles at a time"),
        (brought.classifier(axes=("n", 32, 32, 3)), {}, "NHWC, not NCHW"),
        (brought.classifier(axes=("n", 32, 32, 4)), {}, "three colours"),
        (brought.classifier(axes=("n", 3, 32)), {}, "four axes"),
        (brought.classifier(dtype=np.int32), {}, "neither float32"),
        (brought.classifier(dtype=np.uint8), {}, "uint8 pixels as they are"),
        (brought.two_inputs(), {}, "2 inputs"),
        (brought.classifier(), {"gives": "probabilities"}, "do not sum to one"),
        (brought.classifier(), {"gives": "one_logit"}, "gives 2 numbers"),
        (brought.segmenter(axes=("n", 3, 32, 32)), {}, "one row of numbers a tile"),
        (brought.classifier(), {"task": "artifact"}, "must give a map"),
        (b"\x80\x02}q\x00.", {}, "weights without their network"),
    ],
)
def test_what_cannot_run_is_refused_in_one_sentence(
    bring: Callable[..., Model],
    tmp_path: Path,
    content: bytes,
    flags: dict[str, str],
    sentence: str,
) -> None:
    with pytest.raises(ModelError, match=sentence) as refused:
        bring(content, **flags)
    assert str(refused.value).count(". ") <= 1
    assert not (tmp_path / "ours").exists()


def test_as_many_classes_must_be_named_as_the_model_tells_apart(
    bring: Callable[..., Model],
) -> None:
    with pytest.raises(ModelError, match="gives 2 numbers where 3 classes need 3"):
        bring(brought.classifier(), classes=(NORMAL, TUMOUR, "third=99TEST:3:Third"))


def test_an_example_tells_the_order_of_the_colours(
    bring: Callable[..., Model], tmp_path: Path
) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue first
    cv2.imwrite(str(tmp_path / "red.png"), red)
    example = ("--example", tmp_path / "red.png", "normal")
    with pytest.raises(ModelError, match="with RGB it sees what it should"):
        bring(brought.classifier(), *example, channels="BGR")
    with pytest.raises(ModelError, match="something stated is not so"):
        bring(brought.classifier(), *example, mean="2,0,0")
    assert bring(brought.classifier(), *example).name == "brought"


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_file_is_refused_in_our_words_or_runs(data: st.DataObject) -> None:
    content = bytearray(brought.classifier())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "theirs", Path(folder) / "ours"
        source.write_bytes(content)
        words = [word for item in FLAGS.items() for word in item]
        with contextlib.suppress(ModelError):
            coverslip(
                *("models", "import", source, target, *words), "--class", NORMAL, "--class", TUMOUR
            )
        if target.exists():
            load_model(target)


def test_it_runs_on_the_slides_that_it_names_and_is_named_on_those_that_it_does_not(
    bring: Callable[..., Model], slide: Path, models: bundle.Models, tmp_path: Path
) -> None:
    colon = bring(
        brought.classifier(), "--body-site", "SCT:60184004:Sigmoid colon", "--stain", H_AND_E
    )
    (tmp_path / "ours").rename(tmp_path / "colon")
    nodes = bring(brought.classifier(), "--body-site", "SCT:59441001:Lymph node", name="nodes")
    everyone = replace(models, classifiers=(colon, nodes))
    predictor = Predictor(everyone, device="cpu", workers=2)
    try:
        with open_folder(slide) as reader:
            found = predictor.predict(reader, quiet)
    finally:
        predictor.close()
    assert [(use.name, use.digest) for use in found.models[2:]] == [("brought", colon.digest)]
    (sentence,) = [words for words in found.warnings if "was not run" in words]
    assert "nodes" in sentence
    assert {one.name for one in found.tile_maps} == {"tumour"}


def archive(path: Path, *names: str) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"")
    return path.read_bytes()


def test_bare_weights_are_refused_with_what_to_do(
    bring: Callable[..., Model], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"torch\.jit\.save"):
        bring(archive(tmp_path / "weights.pt", "w/data.pkl", "w/data/0"))


@pytest.mark.parametrize("name", ["m/models/model.json", "m/serialized_exported_program.json"])
def test_an_archive_whose_reading_can_run_code_is_refused_with_what_to_do(
    bring: Callable[..., Model], tmp_path: Path, name: str
) -> None:
    with pytest.raises(ModelError, match=r"can run code; .* torch\.onnx\.export"):
        bring(archive(tmp_path / "model.pt2", name, "m/code/__torch__.py"))


def test_without_pytorch_its_files_name_the_extra_that_is_missing(
    bring: Callable[..., Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "inference.importing.torch_export", raising=False)
    with pytest.raises(ModelError, match=r"coverslip\[training\]"):
        bring(archive(tmp_path / "model.pt", "m/code/__torch__.py"))


def test_nothing_is_written_over(bring: Callable[..., Model], tmp_path: Path) -> None:
    bring(brought.classifier())
    with pytest.raises(ModelError, match="something in ours already"):
        bring(brought.classifier())


def test_what_is_printed_goes_into_the_settings(
    bring: Callable[..., Model], capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--body-site", "SCT:59441001:Lymph node", "--threshold", "tumour=0.8")
    model = bring(brought.classifier(), *more)
    printed = capsys.readouterr().out
    block = tomllib.loads(printed[printed.index("[[") :])["inference"]["models"]
    for folder in ("tissue", "artifact"):
        digest = load_model(bundle.BUNDLED / folder).digest
        block.append({"folder": f"bundled:{folder}", "digest": f"sha256:{digest}"})
    models = bundle.configured_models(Inference(models=tuple(Pinned(**item) for item in block)))
    assert [item.digest for item in models.classifiers] == [model.digest]
    assert models.classifiers[0].thresholds == {"tumour": 0.8}
    assert models.classifiers[0].body_sites[0].value == "59441001"


def test_what_the_flags_leave_out_is_asked_for() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    flags = {"--task": "tiles", "--layout": "NHWC", "--mean": "0,0,0"}
    arguments = parser.parse_args([word for item in flags.items() for word in item])
    replies = {"order of the colours": ["GRB", "BGR"], "the classes": [NORMAL, TUMOUR, ""]}

    def ask(words: str) -> str:
        for beginning, lines in replies.items():
            if words.startswith(beginning):
                return lines.pop(0)
        return "logits" if words.startswith("what its output") else "1"

    given_answers = answered(arguments, ask)
    assert given_answers["channels"] == "BGR"
    assert given_answers["class"] == [NORMAL, TUMOUR]
    assert given_answers["task"] == "tiles"
    assert all(given_answers[question.flag] for question in QUESTIONS)


def test_where_nobody_can_be_asked_the_missing_flags_are_named() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    with pytest.raises(ConfigError, match=r"--task, --um-px, --class"):
        answered(parser.parse_args(["--name", "x"]), None)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"um_px": "fast"}, "--um-px needs a number"),
        ({"std": "0,1,1"}, "--std needs three numbers"),
        ({"classes": ("tumour", NORMAL)}, "tumour needs a code"),
        ({"classes": (NORMAL, "tumour=SCT:1")}, "SCHEME:VALUE:MEANING"),
    ],
)
def test_answers_that_make_no_sense_are_refused(
    bring: Callable[..., Model], flags: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        bring(brought.classifier(), **flags)


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-9, 9),
)
def test_a_written_manifest_reads_the_same(text: str, number: float, whole: int) -> None:
    says = {
        "text": text,
        "lines": [text, "x"],
        "table": {"number": number},
        "rows": [{"whole": whole, "code": {"value": text}}],
    }
    assert tomllib.loads(as_toml(says)) == says
