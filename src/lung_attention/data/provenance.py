"""Whose images the datasets are, and which copies of them are known to differ from the release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_LIDC_CITATION = (
    "Armato S. G. III et al.: Data From LIDC-IDRI. The Cancer Imaging Archive, 2015. "
    "https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX"
)


@dataclass(frozen=True)
class Provenance:
    """Where a dataset stands legally.

    Attributes:
        licence: The licence of the images.
        citation: How the dataset is cited.
        copies: What is different in archives other than the release, by their SHA-256.
    """

    licence: str
    citation: str
    copies: Mapping[str, str] = field(default_factory=dict)


PROVENANCE: dict[str, Provenance] = {
    "iqoth": Provenance(
        licence="CC BY 4.0",
        citation="Alyasriy H., Al-Huseiny M.: The IQ-OTH/NCCD lung cancer dataset. Mendeley Data. "
        "https://doi.org/10.17632/bhmdr45bh2",
        copies={
            "7f109fe19a8d85e6fa441e0795dc5124e8d8de126073c16e9db153f7e0a19771": (
                "encoded anew as grey JPEG of quality 85"
            )
        },
    ),
    "lc25000": Provenance(
        licence="as stated by its authors",
        citation="Borkowski A. A. et al.: Lung and Colon Cancer Histopathological Image Dataset (LC25000). "
        "https://arxiv.org/abs/1912.12142, 2019",
        copies={
            "e992a05565e611c34a06064fab2043dc45d21aae3c276218301eb58de3187a81": (
                "reduced from 768 to 224 pixels a side"
            )
        },
    ),
    "lidc": Provenance(licence="CC BY 3.0", citation=_LIDC_CITATION),
    "lidc_nodules": Provenance(
        licence="CC BY 3.0",
        citation=_LIDC_CITATION,
        copies={
            "4a5ab6c85b2f6cee762d40897338e6cfc9e23bed1212f0cb93fd21729af4b065": (
                "crops of 128 pixels a side that this project did not cut; grey values scaled crop by crop"
            )
        },
    ),
}
