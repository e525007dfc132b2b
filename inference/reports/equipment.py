"""Who made our objects (PS3.3 C.7.5.1, C.7.5.2), and how their series are numbered."""

from typing import Final, TypedDict

from inference import CODE_VERSION

MANUFACTURER: Final = "Coverslip"
MODEL_NAME: Final = "Coverslip slide quality control"
SERIAL_NUMBER: Final = "COVERSLIP"

SR_SERIES: Final = 9001
SEG_SERIES: Final = 9002
ANN_SERIES: Final = 9003
HEAT_MAP_SERIES: Final = 9004
ONE_PAGER_SERIES: Final = 9005


class Maker(TypedDict):
    """General and Enhanced General Equipment, as highdicom wants it."""

    manufacturer: str
    manufacturer_model_name: str
    software_versions: str
    device_serial_number: str


MAKER: Final[Maker] = {
    "manufacturer": MANUFACTURER,
    "manufacturer_model_name": MODEL_NAME,
    "software_versions": CODE_VERSION,
    "device_serial_number": SERIAL_NUMBER,
}
