"""A model runs only when it is whole, pinned, and needs nothing beside itself."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import ConfigError, ModelError
from appliance.settings import Inference, Model
from inference.importing.manifest_text import as_toml
from inference.model import bundle, document
from inference.model.manifest import digest_of, load_model
from inference.model.onnx_file import check_onnx
from inference.running.artifacts import MARGIN_PX
from tests.inference import small_models

STAIN = '[[stains]]\nvalue = "12710003"\nscheme = "SCT"\nmeaning = "Hematoxylin stain"'
TISSUE = bundle.BUNDLED / "tissue"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TISSUE, tmp_path / "tissue"))


@pytest.fixture
def tile_classifier(tmp_path: Path) -> Callable[[str], Path]:
    """Write a folder with a tile classifier of some name."""

    def write(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(small_models.says([0.5, 0.5], tiles=True))
        classes = [
            {
                "index": index,
                "name": kind,
                "code": {"value": kind, "scheme": "99T", "meaning": kind},
            }
            for index, kind in enumerate(("normal", "tumour"))
        ]
        plain = {"version": "1", "task": "tiles", "um_px": 0.5, "tile_px": 99, "licence": "CC0"}
        words = {"name": name, "intended_use": "tests", "trained_on": ["nothing"]}
        lists = {"thresholds": {"tumour": 0.5}, "classes": classes}
        (folder / "model.toml").write_text(as_toml(plain | words | lists))
        return folder

    return write


def pinned(folders: list[Path]) -> Inference:
    models = (Model(folder=item, digest=f"sha256:{digest_of(item)}") for item in folders)
    return Inference(models=tuple(models))


def field(number: int, content: bytes | int) -> bytes:
    """Encode one protobuf field; contents are short."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    key = number << 3 | 2
    head = bytes([key]) if key < 0x80 else bytes([key & 0x7F | 0x80, key >> 7])
    return head + bytes([len(content)]) + content


def model_of(node: bytes = b"", tensor: bytes = b"") -> bytes:
    graph = field(1, node) + (field(5, tensor) if tensor else b"")
    return field(7, graph)


def test_the_bundled_models_are_sound() -> None:
    models = bundle.bundled()
    assert [item.name for item in models.artifact.classes][:3] == ["background", "tissue", "fold"]
    assert models.tissue.um_px == 8.0
    assert models.artifact.digest == digest_of(models.artifact.folder)


def test_the_digest_depends_on_both_files(copy: Path) -> None:
    digests = {digest_of(copy)}
    for name in ("model.onnx", "model.toml"):
        with (copy / name).open("ab") as file:
            file.write(b"\n")
        digests.add(digest_of(copy))
    assert len(digests) == 3


def test_a_wrong_digest_is_refused_by_name(copy: Path) -> None:
    with pytest.raises(ModelError, match="model in tissue is not the one the settings name"):
        load_model(copy, digest="0" * 64)


def test_a_daemon_with_a_wrong_digest_stops_with_the_key_that_is_wrong(copy: Path) -> None:
    pinned = Model(folder=copy, digest="sha256:" + "0" * 64)
    with pytest.raises(ConfigError, match=r"inference\.models"):
        bundle.configured_models(Inference(models=(pinned,)))


def test_settings_need_one_model_for_each_task() -> None:
    digest = f"sha256:{digest_of(TISSUE)}"
    only = Model(folder=Path("bundled:tissue"), digest=digest)
    with pytest.raises(ConfigError, match="one model for tissue and one for artifacts"):
        bundle.configured_models(Inference(models=(only,)))


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "model.onnx").unlink()
    with pytest.raises(ModelError, match="lacks a file"):
        load_model(copy)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("um_px = 8.0", "um_px = -8.0", "um_px: Input should be greater than 0"),
        ('task = "tissue"', "", "the key task is missing"),
        ("um_px = 8.0", "um_pxx = 8.0", "unknown key um_pxx; did you mean um_px?"),
        ('name = "tissue"', 'nam = "tissue"', "unknown key classes.1.nam; did you mean name?"),
        ("tile_px = 160", "tile_px = 161", "a multiple of 32"),
        ('"coverslip-tissue"', '"Tissue of us"', "name: String should match"),
        ('version = "', 'version = "v', "version: String should match"),
        ("tissue = 0.5", "tisue = 0.5", "no class tisue; did you mean tissue?"),
        ('name = "tissue"', 'name = "fold"', "background and tissue"),
        ("index = 1", "index = 2", "indices 0, 1, 2"),
        ("[thresholds]", '[likeness]\nnames = ["a"]\n[thresholds]', "likeness.mean is missing"),
        ("[thresholds]", f"{STAIN}\n[thresholds]", "only a tile classifier names stains"),
        ("[[classes]]", "((classes]]", "not valid TOML"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_key_that_is_wrong(
    copy: Path, before: str, after: str, sentence: str
) -> None:
    manifest = copy / "model.toml"
    changed = manifest.read_text().replace(before, after, 1)
    assert changed != manifest.read_text()
    manifest.write_text(changed)
    with pytest.raises(ModelError, match=sentence):
        load_model(copy)


def test_the_schema_in_the_repository_is_that_of_the_code() -> None:
    stored = json.loads(document.SCHEMA.read_text(encoding="utf-8"))
    assert stored == document.schema(), "python -m inference.model.document"


def test_an_interval_has_two_ends_in_order() -> None:
    row = {"data": "d", "n": 3, "metric": "AUC", "value": 0.9}
    assert document.Accuracy.model_validate(row | {"low": 0.8, "high": 0.95}).high == 0.95
    for ends in ({"low": 0.8}, {"low": 0.9, "high": 0.8}):
        with pytest.raises(ValueError, match="low"):
            document.Accuracy.model_validate(row | ends)


def test_settings_may_name_any_number_of_tile_classifiers(
    tile_classifier: Callable[[str], Path],
) -> None:
    folders = [*map(tile_classifier, ("one", "two")), TISSUE, bundle.BUNDLED / "artifact"]
    models = bundle.configured_models(pinned(folders))
    assert [model.name for model in models.classifiers] == ["one", "two"]
    assert [item.name for item in models.classifiers[0].reported] == ["tumour"]
    assert [model.task for model in models.everyone] == ["tissue", "artifact", "tiles", "tiles"]
    with pytest.raises(ConfigError, match="same name"):
        bundle.configured_models(pinned([*folders, tile_classifier("two")]))


def test_no_two_models_have_one_name(tile_classifier: Callable[[str], Path]) -> None:
    folders = [TISSUE, bundle.BUNDLED / "artifact", tile_classifier("coverslip-artifact")]
    with pytest.raises(ConfigError, match="same name"):
        bundle.configured_models(pinned(folders))


def test_the_tile_of_an_artifact_model_is_more_than_its_rim(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle.BUNDLED / "artifact", tmp_path / "artifact"))
    manifest = copy / "model.toml"
    manifest.write_text(manifest.read_text().replace("tile_px = 256", "tile_px = 64"))
    assert load_model(copy).tile_px > 2 * MARGIN_PX
    manifest.write_text(manifest.read_text().replace("tile_px = 64", "tile_px = 32"))
    with pytest.raises(ModelError, match="at least 64"):
        load_model(copy)


def test_a_tile_classifier_says_which_classes_it_reports(
    tile_classifier: Callable[[str], Path],
) -> None:
    manifest = tile_classifier("one") / "model.toml"
    manifest.write_text(manifest.read_text().replace("tumour = 0.5", ""))
    with pytest.raises(ModelError, match="a threshold for each class it reports"):
        load_model(manifest.parent)


def test_external_data_is_refused() -> None:
    with pytest.raises(ModelError, match="another file"):
        check_onnx(model_of(tensor=field(14, 1)))


def test_external_data_inside_a_node_is_refused() -> None:
    attribute = field(5, field(13, b"location"))
    with pytest.raises(ModelError, match="another file"):
        check_onnx(model_of(node=field(5, attribute)))


def test_external_data_inside_a_branch_is_refused() -> None:
    branch = field(5, field(14, 1))
    with pytest.raises(ModelError, match="another file"):
        check_onnx(model_of(node=field(5, field(6, branch))))


@pytest.mark.parametrize("number", [22, 23])
def test_sparse_weights_of_a_constant_are_refused(number: int) -> None:
    values = field(1, field(14, 1))  # weights in another file
    attribute = field(number, values)
    with pytest.raises(ModelError, match="sparse tensors"):
        check_onnx(model_of(node=field(5, attribute)))


def test_external_data_in_a_default_of_a_function_is_refused() -> None:
    default = field(11, field(5, field(14, 1)))
    with pytest.raises(ModelError, match="another file"):
        check_onnx(model_of() + field(25, default))


def test_a_field_number_whose_high_bits_others_drop_is_refused() -> None:
    tensor = field(14, 1)
    hidden = bytes([5 << 3 | 2 | 0x80, 0x80, 0x80, 0x80, 0x10, len(tensor)]) + tensor
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        check_onnx(field(7, hidden))


def test_custom_operators_are_refused() -> None:
    with pytest.raises(ModelError, match="custom operators"):
        check_onnx(model_of(node=field(7, b"com.example")))


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"no ONNX", field(7, b"")[:-1] + b"\x7f"])
def test_what_is_no_onnx_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        check_onnx(content)
