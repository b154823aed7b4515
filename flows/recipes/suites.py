"""Recipes of suites: tasks that are published, by the files they come in."""

from collections.abc import Callable, Mapping

from corpusmill.flows.suite_config import SuiteConfig

_PAIRS = {"text": "0", "text_pair": "1", "label": "2"}
_TEXTS = {"text": "0", "label": "1"}


def zh() -> SuiteConfig:
    """Chinese: topics, paraphrases, sentiment, similarity.

    The test sets that are published without labels are replaced by those for development, and what
    of these stands among the training examples too is taken out of the test.
    """
    pairs = "afqmc_lcqmc_pairs"
    return SuiteConfig(
        tasks={
            "tnews": {
                "train": "tnews/train.tsv",
                "test": "tnews/dev.tsv",
                "on_overlap": "drop_test",
                **_TEXTS,
            },
            "afqmc": {"train": f"{pairs}/train.txt", "test": f"{pairs}/dev.txt", **_PAIRS},
            # Its training set is not published with the others.
            "lcqmc": {
                "train": f"{pairs}/lcqmc_dev.txt",
                "test": f"{pairs}/lcqmc_test.txt",
                **_PAIRS,
            },
            "chnsenticorp": {
                "train": "chnsenticorp/train.tsv",
                "test": "chnsenticorp/dev.tsv",
                "on_overlap": "drop_test",
                **_TEXTS,
            },
            "online_shopping": {
                "train": "online_shopping_10_cats/online_shopping_10_cats.zip",
                "text": "review",
            },
            "stsb": _stsb("zh"),
        }
    )


def en() -> SuiteConfig:
    """English: sentiment, acceptability, kinds of questions, similarity."""
    return SuiteConfig(
        tasks={
            "sst2": {
                "train": "sst2/train.tsv",
                "validation": "sst2/dev.tsv",
                "test": "sst2/test.tsv",
                **_TEXTS,
            },
            "rt_polarity": {
                "train": {
                    "0": "rt_polarity/rt-polarity.neg.txt",
                    "1": "rt_polarity/rt-polarity.pos.txt",
                },
                "text_unit": "line",
            },
            "cola": {
                "train": "cola/train.tsv",
                "test": "cola/dev.tsv",
                "text": "3",
                "label": "1",
            },
            "trec": {
                "train": "trec_qc/train.txt",
                "test": "trec_qc/test.txt",
                "pattern": r"(?P<label>\w+):\w+ (?P<text>.*)",
                "encoding": "latin-1",
            },
            "stsb": _stsb("en"),
        }
    )


def _stsb(language: str) -> dict[str, object]:
    sides = {"train": "train", "validation": "dev", "test": "test"}
    files = {side: f"stsb_en_zh/stsb-{language}-{name}.csv" for side, name in sides.items()}
    return {"kind": "regression", **files, **_PAIRS}


SUITES: Mapping[str, Callable[[], SuiteConfig]] = {"en": en, "zh": zh}
