"""The flow `finetune`: from a pretrained model and labelled examples to a model that answers."""

from typing import Any

from prefect import flow

from corpusmill.flows.config import resolve
from corpusmill.flows.recipes.tasks import TASK_RECIPES
from corpusmill.flows.run_names import name_finetuning
from corpusmill.flows.tail import kept
from corpusmill.flows.task_config import fitted, folder_of, trials_of
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.examples import make_examples
from corpusmill.tasks.finetuning import (
    answer,
    bring_start,
    compare_with_champion,
    finetune_network,
    measure_learning_curve,
    measure_opponents,
    register_labeller,
)
from corpusmill.tasks.reports.labels.report import report_labels
from corpusmill.tasks.search import search_configs
from corpusmill.tasks.tracking import begin_flow, tracked_run


@flow(name="finetune", flow_run_name=name_finetuning)
def finetune(
    start: str = "models:/bert-tiny@champion",
    name: str = "labels",
    recipe: str = "classify",
    overrides: dict[str, Any] | None = None,
) -> None:
    """Reads labelled examples, teaches them to a pretrained model, scores, registers.

    Args:
        start: a registered model, `models:/NAME@ALIAS` or `models:/NAME/VERSION`, or a folder in
            the Hugging Face format with its tokenizer; a relative one lies below the checkout.
        name: that the model is registered under.
        recipe: classify, tag or rate, or `package.module:name` of one's own.
        overrides: dotted fields, such as {"task.train": "/data/reviews.csv", "task.text": "review",
            "task.label": "label"}.
    """
    overriding = {"registration.name": name, **(overrides or {})}
    config = resolve(TASK_RECIPES, recipe, overriding)
    with tracked_run(begin_flow(), config.registration.name, recipe, config) as context:
        begins = bring_start(context, start, folder_of(start))
        examples = make_examples(context.layout, config.task, list(begins.corpora))
        counts = read_manifest(examples.path)["counts"]
        sizes = counts["train"]["kept"], counts["validation"]["kept"]
        train = fitted(config, *sizes)
        trials = trials_of(config, train, *sizes)
        given = context, begins.model, examples, config.method
        tried = search_configs(*given, trials) if trials else []
        train = tried[0].trial.config if tried else train
        model = finetune_network(*given, train)
        with kept(model):
            said = answer(context, model, examples, train, "candidate")
            opponents = measure_opponents(*given, train) if config.opponents else []
            shares = config.learning_curve if config.opponents else ()
            curves = measure_learning_curve(*given, train, shares=shares, whole=[said, *opponents])
            version = register_labeller(context, config.registration.name, model, begins, examples)
            promotion = compare_with_champion(context, version, said, examples, train)
            report_labels(
                context,
                version,
                promotion,
                said,
                opponents,
                curves,
                examples=examples,
                model=model,
                tried=tried,
            )
