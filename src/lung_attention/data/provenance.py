"""Whose images the datasets are: licence and citation."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    licence: str
    citation: str


PROVENANCE: dict[str, Provenance] = {
    "iqoth": Provenance(
        licence="CC BY 4.0",
        citation="Alyasriy H., Al-Huseiny M.: The IQ-OTH/NCCD lung cancer dataset. Mendeley Data. "
        "https://doi.org/10.17632/bhmdr45bh2",
    ),
    "lc25000": Provenance(
        licence="as stated by its authors",
        citation="Borkowski A. A. et al.: Lung and Colon Cancer Histopathological Image Dataset (LC25000). "
        "https://arxiv.org/abs/1912.12142, 2019",
    ),
    "lidc": Provenance(licence="CC BY 3.0", citation=_LIDC_CITATION),
    "lidc_nodules": Provenance(licence="CC BY 3.0", citation=_LIDC_CITATION),
}
