"""A view of runs for MLflow's page: grouped by model, with whole names and with figures.

An experiment keeps such a view as a tag, as "Share" on that page makes it too; that plain JSON is
taken, and what is in it, was tried on MLflow 3.17.2.
"""

import json

from corpusmill.storage import metrics

KEY = "models"
TAG = f"mlflow.sharedViewState.{KEY}"
MODEL, RECIPE = "model", "recipe"
_NAME, _MODELS, _RECIPE = "attributes.`Run Name`", "attributes.`Models`", f"tags.`{RECIPE}`"
# Widths in pixels.
_FIGURES = {
    f"metrics.`{metrics.evaluation(metrics.BITS_PER_BYTE)}`": 180,
    f"metrics.`{metrics.VALIDATION_LOSS}`": 130,
    f"metrics.`{metrics.TOKENS_SEEN}`": 140,
}


def view_by_model() -> str:
    """The value of the tag."""
    columns = [_MODELS, _RECIPE, *_FIGURES]
    view = {
        "selectedColumns": columns,
        "columnOrder": [_NAME, "runDateAndNestInfo", *columns],
        "columnWidths": {_NAME: 290, **_FIGURES},
        "groupBy": {
            "aggregateFunction": "min",
            "groupByKeys": [{"mode": "tag", "groupByData": MODEL}],
        },
    }
    return json.dumps(view)
