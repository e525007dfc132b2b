"""A remote model is its manifest: pinned, complete, and made for the tiles that its route cuts."""

from pathlib import Path

import pytest

from appliance.errors import ConfigError
from inference.remote.models import remote_models
from tests.inference.remote_parts import COLOURED, manifest_folder, route_to


def test_a_remote_model_needs_its_manifest_and_no_network(tmp_path: Path) -> None:
    folder = manifest_folder(tmp_path)
    routes = (route_to(folder), route_to(folder, "own", at_site=True))
    found = remote_models(routes)
    assert [path.name for path in folder.iterdir()] == ["model.toml"]
    assert (found["lab"].model.name, found["lab"].recipient) == (
        "coverslip-metastasis",
        "lab-clinic",
    )
    assert (found["lab"].is_sample, found["own"].is_sample) == (True, False)


def test_a_manifest_that_was_changed_is_refused(tmp_path: Path) -> None:
    route = route_to(manifest_folder(tmp_path))
    manifest = tmp_path / "model.toml"
    manifest.write_text(manifest.read_text().replace("0.608", "0.1"))
    with pytest.raises(ConfigError, match=r"route lab: .* is not the one the settings name"):
        remote_models([route])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crop_px": 80}, "cuts tiles of 80 px at 0.97"),
        ({"um_px": 0.5}, "model is made for 96 px at 0.97"),
    ],
)
def test_a_policy_must_cut_the_tiles_that_the_model_is_made_for(
    tmp_path: Path, change: dict[str, float], words: str
) -> None:
    route = route_to(manifest_folder(tmp_path), policy=COLOURED | change)
    with pytest.raises(ConfigError, match=words):
        remote_models([route])


def test_only_a_tile_classifier_can_run_elsewhere(tmp_path: Path) -> None:
    folder = manifest_folder(tmp_path)
    text = (folder / "model.toml").read_text()
    text = text[: text.index("stains = [")] + text[text.index("[[classes]]") :]
    text = text.replace('task = "tiles"', 'task = "tissue"')
    text = text.replace('"normal"', '"background"').replace('"tumor"', '"tissue"')
    (folder / "model.toml").write_text(text.replace("tumor = ", "tissue = "))
    with pytest.raises(ConfigError, match="only a model of the task tiles"):
        remote_models([route_to(folder)])
