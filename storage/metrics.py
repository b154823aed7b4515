"""The names of metrics: keys of MLflow, of the training journal, and of figures in reports."""

import re

TRAIN_LOSS = "train/loss"
LEARNING_RATE = "train/learning_rate"
GRADIENT_NORM = "train/gradient_norm"
TOKENS_SEEN = "train/tokens_seen"
VALIDATION_LOSS = "validation/loss"
VALIDATION_PERPLEXITY = "validation/perplexity"
VALIDATION_BITS_PER_BYTE = "validation/bits_per_byte"
TOKENS_PER_SECOND = "performance/tokens_per_second"
MFU = "performance/mfu"
DATA_WAIT = "performance/data_wait"
OPTIMIZER_SHARE = "performance/optimizer_share"
MEMORY_GB = "performance/memory_gb"

# Figures of an evaluation, explained in model/evaluation/ where they are worked out.
BITS_PER_BYTE = "bits_per_byte"
PERPLEXITY = "perplexity"
LOSS = "loss"
LOST_BYTES = "lost_bytes"
MASKED_ACCURACY = "masked_accuracy"
UNIGRAM_ACCURACY = "unigram_accuracy"
PSEUDO_PERPLEXITY = "pseudo_perplexity"
NEXT_SENTENCE_ACCURACY = "next_sentence_accuracy"
SPAN_PERPLEXITY = "span_perplexity"
SPAN_ACCURACY = "span_accuracy"
BLEU = "bleu"
CHRF = "chrf"
COPIED_BLEU = "copied_bleu"
MEMORISED = "memorised"
# Of labelled examples, worked out in model/tasks/metrics.py.
F1, F1_MACRO, F1_MICRO = "f1", "f1_macro", "f1_micro"
AUC, AVERAGE_PRECISION = "auc", "average_precision"
MATTHEWS = "matthews"
SPEARMAN, PEARSON = "spearman", "pearson"
MSE, NLL, ECE = "mse", "nll", "ece"
# Of a probe, and of labelled examples.
ACCURACY = "accuracy"
# Those by which models that answer with labels are chosen.
DECIDING = (ACCURACY, F1_MICRO, SPEARMAN)
ACCURACY_PER_BYTE = "accuracy_per_byte"


def part_of_loss(split: str, head: str) -> str:
    """The loss of one head, such as `validation/masked_lm_loss`."""
    return f"{split}/{head}_loss"


def labelled(side: str, figure: str) -> str:
    """A figure of labelled examples, such as `test/accuracy`."""
    return f"{side}/{figure}"


def learning_curve(learner: str, figure: str) -> str:
    """A figure by the number of labels learned from, such as `learning_curve/scratch/accuracy`."""
    return f"learning_curve/{learner}/{figure}"


def labels_saved(other: str) -> str:
    """Share of the labels that pretraining saves, as `labels_saved/scratch`."""
    return f"labels_saved/{other}"


def suite(task: str, figure: str, system: str = "") -> str:
    """A figure of a task of a suite, such as `suite/tnews/accuracy`, or of what stands beside the
    model, such as `suite/tnews/scratch/accuracy`.
    """
    return "/".join(filter(None, ("suite", task, system.replace(" ", "_"), figure)))


def evaluation(figure: str) -> str:
    """A figure of an evaluation, such as `evaluation/bits_per_byte`."""
    return f"evaluation/{figure}"


def probe(name: str, figure: str) -> str:
    """A figure of a probe, such as `evaluation/probe/blimp/accuracy`."""
    return evaluation(f"probe/{name}/{figure}")


def contamination(name: str) -> str:
    """Share of a set's texts that stand in the training text: `evaluation/contamination/blimp`."""
    words = "_".join(re.findall(r"[\w.]+", name))
    return evaluation(f"contamination/{words}")


def baseline(name: str) -> str:
    """The figure that decides, of what is no model."""
    return f"baseline/{name}"
