"""Recipes of suites: each a function that returns the tasks of one language, by their files."""

from collections.abc import Callable, Mapping
from typing import Any

from corpusmill.flows.suite_config import SuiteConfig, SuiteTask, TasksConfig


def en() -> SuiteConfig:
    """English: sentiment of films, acceptability, what a question asks for, similarity."""
    return _suite(
        _task("sst2", "sst2/train.tsv", "sst2/test.tsv", "sst2/dev.tsv", text="0", label="1"),
        SuiteTask(
            name="rt_polarity",
            train={
                "0": "rt_polarity/rt-polarity.neg.txt",
                "1": "rt_polarity/rt-polarity.pos.txt",
            },
            text_unit="line",
            encoding="utf-8",
        ),
        # As it is published, training is one file of 8,551.
        SuiteTask(
            name="cola",
            train=("cola/train.tsv", "cola/val.tsv"),
            test="cola/dev.tsv",
            text="3",
            label="1",
            validation_fraction=0.05,
            metric="matthews",
        ),
        _task(
            "trec_qc",
            *("trec_qc/train.txt", "trec_qc/test.txt"),
            pattern=r"(?P<label>\w+):\w+ (?P<text>.*)",
            encoding="latin-1",
            validation_fraction=0.05,
        ),
        _similarity("en"),
    )


def zh() -> SuiteConfig:
    """Chinese: topics of headlines, pairs of questions, sentiment of reviews, similarity."""
    pair: dict[str, Any] = {"text": "0", "text_pair": "1", "label": "2"}
    return _suite(
        # Of the test, what training holds too goes: half a point on such texts says nothing.
        _task(
            "tnews",
            *("tnews/train.tsv", "tnews/dev.tsv"),
            text="0",
            label="1",
            validation_fraction=0.02,
            on_overlap="drop_test",
        ),
        _task(
            "afqmc",
            *("afqmc_lcqmc_pairs/train.txt", "afqmc_lcqmc_pairs/dev.txt"),
            validation_fraction=0.03,
            **pair,
        ),
        # Its own training side has no free licence.
        _task(
            "lcqmc",
            *("afqmc_lcqmc_pairs/lcqmc_dev.txt", "afqmc_lcqmc_pairs/lcqmc_test.txt"),
            validation_fraction=0.05,
            **pair,
        ),
        # Its own test side has no labels.
        _task(
            "chnsenticorp",
            *("chnsenticorp/train.tsv", "chnsenticorp/dev.tsv"),
            text="0",
            label="1",
            validation_fraction=0.05,
            on_overlap="drop_test",
        ),
        SuiteTask(
            name="online_shopping",
            train="online_shopping_10_cats/online_shopping_10_cats.zip",
            text="review",
            validation_fraction=0.02,
        ),
        _similarity("zh"),
    )


def _suite(*tasks: SuiteTask) -> SuiteConfig:
    return SuiteConfig(suite=TasksConfig(tasks=tasks))


def _task(
    name: str, train: str, test: str, validation: str | None = None, **fields: Any
) -> SuiteTask:
    return SuiteTask(name=name, train=train, validation=validation, test=test, **fields)


def _similarity(language: str) -> SuiteTask:
    train, validation, test = (
        f"stsb_en_zh/stsb-{language}-{side}.csv" for side in ("train", "dev", "test")
    )
    return SuiteTask(
        name="stsb",
        train=train,
        validation=validation,
        test=test,
        text="0",
        text_pair="1",
        label="2",
        kind="regression",
    )


SUITES: Mapping[str, Callable[[], SuiteConfig]] = {"en": en, "zh": zh}
