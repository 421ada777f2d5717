"""The figure of one search, for the report's appendix."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lung_attention.plots.search import parameter_importances, search_history
from lung_attention.plots.style import new_figure


def search_figure(result: dict[str, Any]) -> Figure:
    """Draws the histories of a cell's studies, and the importances of its parameters.

    Args:
        result: The content of `results/<profile>/search/<cell>.json`.

    Returns:
        Two panels, side by side.
    """
    studies = result["studies"]
    complete = {
        name: np.array([entry[::2] for entry in study["history"] if entry[1] == "complete"], dtype=np.float64)
        for name, study in studies.items()
    }
    default = {
        name: study["default_value"] for name, study in studies.items() if study["default_value"] is not None
    }
    figure, (left, right) = new_figure(8.4, 3.6, panels=2)
    search_history(
        left,
        {name: (table[:, 0], table[:, 1]) for name, table in complete.items() if table.size},
        default=default,
        what="inner validation loss",
    )
    parameter_importances(right, [study["importances"] for study in studies.values()])
    return figure
