"""A tile classifier runs where the header says that the stain and the body site are its own."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import method_of
from anonymizer.keys.files import init_keys
from appliance.settings import Deidentify
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.specimen import add_specimen, code
from inference.model import bundle
from inference.model.choice import chosen, sites_of, stains_of, suits
from inference.model.manifest import Concept, Model, load_model

HAEMATOXYLIN = Concept(value="12710003", scheme="SCT", meaning="hematoxylin stain")
EOSIN = Concept(value="36879007", scheme="SCT", meaning="water soluble eosin stain")
H_AND_E = Concept(value="104210008", scheme="SCT", meaning="Hematoxylin and eosin stain method")
EOSIN_OF_OLD = Concept(value="C-22919", scheme="SRT", meaning="eosin")
COLON = Concept(value="60184004", scheme="SCT", meaning="Sigmoid colon")
LYMPH_NODE = Concept(value="59441001", scheme="SCT", meaning="Lymph node")


@pytest.fixture(scope="module")
def anything() -> Model:
    """A model that names neither stain nor body site."""
    return replace(load_model(bundle.BUNDLED / "tissue"), stains=(), body_sites=())


@pytest.fixture
def header() -> Dataset:
    """Header of a slide of sigmoid colon, stained with haematoxylin and eosin."""
    made = Dataset()
    made.Modality = "SM"
    add_specimen(made, SlideIdentity.invented(seed=4))
    return made


def specimen_of(header: Dataset) -> Dataset:
    return header.SpecimenDescriptionSequence[0]


def stain_items(header: Dataset) -> list[Dataset]:
    step = specimen_of(header).SpecimenPreparationSequence[-1]
    return step.SpecimenPreparationStepContentItemSequence


def test_a_model_that_names_nothing_runs_always(anything: Model, header: Dataset) -> None:
    del header.SpecimenDescriptionSequence
    assert suits(anything, header).runs


def test_another_modality_is_not_judged(anything: Model, header: Dataset) -> None:
    header.Modality = "XC"
    assert "modality" in suits(anything, header).reason


@pytest.mark.parametrize(
    "stains", [(EOSIN, HAEMATOXYLIN), (H_AND_E,), (HAEMATOXYLIN, EOSIN_OF_OLD)]
)
def test_the_same_stains_in_other_codes_are_the_same(
    anything: Model, header: Dataset, stains: tuple[Concept, ...]
) -> None:
    assert suits(replace(anything, stains=stains), header).runs


def test_the_stain_must_be_the_models_own_and_nothing_else(
    anything: Model, header: Dataset
) -> None:
    model = replace(anything, stains=(HAEMATOXYLIN, EOSIN))
    counterstain_alone = stain_items(header).pop()
    assert "another stain" in suits(model, header).reason
    saffron = Dataset.from_json(counterstain_alone.to_json())
    saffron.ConceptCodeSequence[0].CodeValue = "38271009"
    stain_items(header).extend([counterstain_alone, saffron])
    assert "another stain" in suits(model, header).reason
    del specimen_of(header).SpecimenPreparationSequence
    assert "does not say how it was stained" in suits(model, header).reason


def test_every_specimen_must_be_from_a_body_site_of_the_model(
    anything: Model, header: Dataset
) -> None:
    assert suits(replace(anything, body_sites=(LYMPH_NODE, COLON)), header).runs
    model = replace(anything, body_sites=(LYMPH_NODE,))
    assert "from elsewhere" in suits(model, header).reason
    specimen_of(header).PrimaryAnatomicStructureSequence = [
        code("59441001", "SCT", "Lymph node"),
        code("60184004", "SCT", "Sigmoid colon"),
    ]
    assert "from elsewhere" in suits(model, header).reason
    del specimen_of(header).PrimaryAnatomicStructureSequence
    assert "where the tissue is from" in suits(model, header).reason


def test_those_that_do_not_run_are_named_and_the_slide_is_not(
    anything: Model, header: Dataset
) -> None:
    other = replace(anything, name="nodes", body_sites=(LYMPH_NODE,))
    choice = chosen((anything, other), header)
    assert choice.run == (anything,)
    (sentence,) = choice.left_out
    assert sentence.startswith("The model nodes was not run: ")
    assert "colon" not in sentence.lower()


def test_deidentification_leaves_stain_and_body_site(empty_slide: Path, tmp_path: Path) -> None:
    init_keys(tmp_path / "keys")
    (tmp_path / "deid").mkdir()
    method = method_of(Deidentify(text_in_pixels="off", label="ignore"), tmp_path / "keys")
    deidentify_slide(sorted(empty_slide.glob("volume-2.dcm")), tmp_path / "deid", method)
    (file,) = tmp_path.glob("deid/*.dcm")
    header = pydicom.dcmread(file, stop_before_pixels=True)
    assert stains_of(header) == {("SCT", "12710003"), ("SCT", "36879007")}
    assert sites_of(header) == {("SCT", "60184004")}
