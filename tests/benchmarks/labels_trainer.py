"""The Hugging Face Trainer as run_glue.py sets it up, on examples of ours: what `labels.py` runs.

`python tests/benchmarks/labels_trainer.py RUN.json` trains once, answers the test examples, and
prints JSON as its last line. What stands here is what `run_glue.py` of transformers does between
its arguments and `trainer.train()`: a map over a dataset, a collator, `Trainer`.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.storage.examples.predictions import Predictions, gold_of, write_predictions
from corpusmill.storage.examples.reading import read_examples
from corpusmill.storage.examples.schema import Side
from tests.benchmarks.labels_run import LabelRun, read_run


def main(file: str) -> dict[str, Any]:
    """Trains as the file says; returns what is printed."""
    begun = float(os.environ["BEGUN"])
    run = read_run(Path(file))
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        default_data_collator,
        set_seed,
    )

    class Clock(TrainerCallback):  # type: ignore[misc]
        """When the first step was over."""

        first = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002
            self.first = self.first or time.time() - begun

    set_seed(run.seed)
    tokenizer = AutoTokenizer.from_pretrained(run.labelled_start)
    model = AutoModelForSequenceClassification.from_pretrained(
        run.labelled_start,
        hidden_dropout_prob=run.dropout,
        attention_probs_dropout_prob=run.dropout,
    )
    padding = "max_length" if run.padded else False

    def encoded(side: Side) -> Any:
        examples = read_examples(run.examples, side)
        labels = [model.config.label2id[name] for name in examples.labels]
        rows = Dataset.from_dict({"sentence": examples.texts, "label": labels})
        return rows.map(
            lambda some: tokenizer(
                some["sentence"], padding=padding, max_length=run.length, truncation=True
            ),
            batched=True,
        )

    arguments = TrainingArguments(
        output_dir=str(run.folder / "trainer"),
        per_device_train_batch_size=run.batch,
        per_device_eval_batch_size=run.batch,
        learning_rate=run.rate,
        weight_decay=run.weight_decay,
        adam_beta1=run.betas[0],
        adam_beta2=run.betas[1],
        adam_epsilon=run.epsilon,
        max_grad_norm=run.max_grad_norm,
        max_steps=run.steps,
        warmup_steps=run.warmup,
        seed=run.seed,
        bf16=run.precision == "bf16",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not _on_gpu(),
    )
    clock = Clock()
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=encoded("train"),
        processing_class=tokenizer,
        data_collator=default_data_collator if run.padded else DataCollatorWithPadding(tokenizer),
        callbacks=[clock],
    )
    trainer.train()
    seconds, cpu = time.time() - begun, time.process_time()
    if run.scored:
        names = tuple(model.config.id2label[number] for number in sorted(model.config.id2label))
        _answer(run, names, trainer.predict(encoded("test")).predictions)
    return {
        "cpu_s": round(cpu, 2),
        "first_step_s": round(clock.first, 2),
        "seconds": round(seconds, 2),
    }


def _answer(run: LabelRun, names: tuple[str, ...], logits: np.ndarray) -> None:
    """Writes what it says of the test examples as our models do."""
    examples = read_examples(run.examples, "test")
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    scores = powers / powers.sum(1, keepdims=True)
    gold = gold_of("classification", names, examples.labels)
    said = Predictions("classification", names, tuple(examples.ids), gold, scores)
    write_predictions(run.predictions, said)


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
