"""A model runs only when it is whole, pinned, and needs nothing beside itself."""

import shutil
from pathlib import Path

import pytest

from appliance.errors import ConfigError, ModelError
from appliance.settings import Inference, Model
from inference.model import bundle
from inference.model.manifest import digest_of, load_model
from inference.model.onnx_file import check_onnx

TISSUE = bundle.BUNDLED / "tissue"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TISSUE, tmp_path / "tissue"))


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
    "edit", [("um_px = 8.0", "um_px = -8.0"), ('task = "tissue"', ""), ("[", "(")]
)
def test_an_incomplete_manifest_is_refused(copy: Path, edit: tuple[str, str]) -> None:
    manifest = copy / "model.toml"
    manifest.write_text(manifest.read_text().replace(*edit))
    with pytest.raises(ModelError, match="incomplete or wrong"):
        load_model(copy)


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


def test_custom_operators_are_refused() -> None:
    with pytest.raises(ModelError, match="custom operators"):
        check_onnx(model_of(node=field(7, b"com.example")))


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"no ONNX", field(7, b"")[:-1] + b"\x7f"])
def test_what_is_no_onnx_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        check_onnx(content)
