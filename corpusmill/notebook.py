"""From a folder of text to a sample by plain functions, with no server: for notebooks and scripts.

    import corpusmill.notebook as mill

    config = mill.configure("gpt-tiny", {"corpus.sources": ["/text/*.txt"]})
    store = mill.open_store()
    corpus = mill.ingest(store, config)
    tokenizer = mill.train_tokenizer(store, corpus, config)
    shards = mill.shard(store, corpus, tokenizer)
    model = mill.train(store, shards, tokenizer, config)
    figures = mill.evaluate(store, model, corpus, config)
    print(mill.generate(model, "Once upon a time"))

Each of them is what the task of the same stage wraps: what was made of the same before, by a flow
too, is found and not made again; training that was interrupted goes on from its last checkpoint.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from corpusmill.flows.config import PretrainConfig, on_this_machine, resolve
from corpusmill.flows.recipes.catalogue import RECIPES
from corpusmill.model.config import EvaluationResult
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.config import parse
from corpusmill.storage.corpus.documents import Document, read_documents
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.journal import JournalReader
from corpusmill.storage.layout import Layout, RunLayout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.metrics import TOKENS_PER_SECOND, TRAIN_LOSS, VALIDATION_LOSS
from corpusmill.storage.settings import load_settings
from corpusmill.storage.splits import SPLITS, Split
from corpusmill.tasks.stages import corpus as _corpus
from corpusmill.tasks.stages import evaluation as _evaluation
from corpusmill.tasks.stages import shards as _shards
from corpusmill.tasks.stages import tokenizer as _tokenizer
from corpusmill.tasks.stages import training as _training
from corpusmill.tasks.stages.origin import bring_model


def configure(
    recipe: str = "gpt-tiny", overrides: Mapping[str, Any] | None = None
) -> PretrainConfig:
    """The configuration of a recipe with dotted overrides, resolved for this machine.

    Args:
        recipe: a name of the catalogue, or `package.module:name` of one's own.
        overrides: such as {"train.max_steps": 100, "corpus.sources": ["/text/*.txt"]}.

    Raises:
        ConfigError: a recipe, a field or a value that does not exist, with the nearest that does.
    """
    return on_this_machine(resolve(RECIPES, recipe, overrides or {}))


def open_store(folder: str | Path | None = None) -> Layout:
    """The folder where all that is made is kept, each under the digest of what it was made from.

    Args:
        folder: by default that of the flows, `CORPUSMILL_HOME`.

    Raises:
        ConfigError: it is a file.
    """
    path = Path(folder).expanduser().resolve() if folder else load_settings().home
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file; expected a folder, or a path where one can be made.")
    return Layout(path)


def ingest(store: Layout, config: PretrainConfig) -> Ref:
    """Reads, cleans and deduplicates the sources, and holds documents out: `config.corpus`.

    Raises:
        CorpusError: a source that does not exist, matches nothing or cannot be read, or fewer than
            two documents kept.
    """
    _check(store=store, config=config)
    with _bar("ingest") as bar:
        return _corpus.ingest(store, config.corpus, load_settings().processes, bar)


def train_tokenizer(store: Layout, corpus: Ref, config: PretrainConfig) -> Ref:
    """Learns a vocabulary from the training side, or brings one along: `config.tokenizer`.

    Raises:
        ConfigError: the text does not hold as many tokens as are asked for.
    """
    _check(store=store, corpus=corpus, config=config)
    return _tokenizer.make_tokenizer(store, corpus, config.tokenizer)


def shard(store: Layout, corpus: Ref, tokenizer: Ref) -> Ref:
    """Encodes the documents of both sides with a tokenizer into Arrow token shards."""
    _check(store=store, corpus=corpus, tokenizer=tokenizer)
    with _bar("shard") as bar:
        return _shards.make_shards(store, corpus, tokenizer, corpus, bar)


def train(store: Layout, shards: Ref, tokenizer: Ref, config: PretrainConfig) -> Ref:
    """Trains `config.model` as `config.train` says, in processes of its own; the model folder.

    An interrupt (the square in Jupyter) asks for a checkpoint and ends them; called again, it goes
    on from there.

    Args:
        tokenizer: with which the shards were made.

    Raises:
        ConfigError: the shards do not suffice for it, or are of another tokenizer.
        InputError: a sentence from the process about what a person must mend.
        ProcessError: it ended without a model.
    """
    _check(store=store, shards=shards, tokenizer=tokenizer, config=config)
    start = bring_model(store, config.initialize_from) if config.initialize_from else None
    shape = None if start else config.model
    run = _training.plan_run(store, shards, tokenizer, shape, config.train, start)
    with _bar("train", config.train.max_steps) as bar:
        model, _ = _training.train(store, run, _Journal(run.files, bar))
    return model


def evaluate(store: Layout, model: Ref, corpus: Ref, config: PretrainConfig) -> EvaluationResult:
    """Scores the model on every held-out document, in a process of its own."""
    _check(store=store, model=model, corpus=corpus, config=config)
    return _evaluation.evaluate(store, model, corpus, config.evaluation, "model")


def generate(model: Ref, prompt: str, *, max_new_tokens: int = 80, **sampling: Any) -> str:
    """What the model answers: a decoder's text goes on from the prompt, with which it begins.

    Args:
        max_new_tokens: of the answer; an encoder, which fills in what is masked, needs no limit.
        sampling: temperature, top_k, top_p and seed, as in `corpusmill.model.inference.request`; an
            encoder, and a translation, take the likeliest.

    Raises:
        ConfigError: a value out of bounds, or a prompt longer than the model reads.
    """
    from corpusmill.model.inference.answering import load_answerer
    from corpusmill.model.inference.request import AnswerRequest

    _check(model=model, prompt=prompt)
    asked = parse(AnswerRequest, {"prompt": prompt, "max_new_tokens": max_new_tokens, **sampling})
    answerer = load_answerer(model.path)
    (answer,) = answerer.answers(asked.prompt, max_new_tokens=asked.max_new_tokens, sampling=asked)
    return f"{prompt}{answer}" if answerer.continues else answer


def counts(made: Ref) -> dict[str, Any]:
    """What was counted when a corpus, a tokenizer or shards were made; nothing is of a model."""
    found: dict[str, Any] = read_manifest(made.path)["counts"]
    return found


def documents(corpus: Ref, split: Split) -> Iterator[Document]:
    """The documents of one side, `train` or `validation`: their text, and where it is from.

    Raises:
        ConfigError: another side.
    """
    _check(corpus=corpus)
    if split not in SPLITS:
        raise ConfigError(f"There is no side {split!r}; expected {' or '.join(SPLITS)}.")
    return read_documents(corpus.path, split)


def tokens(tokenizer: Ref, text: str) -> list[str]:
    """A text in pieces, as the tokenizer cuts it."""
    _check(tokenizer=tokenizer, text=text)
    learned = load_tokenizer(tokenizer.path)
    return [learned.decode([token]) for token in learned.encode(text).ids]


def curve(store: Layout, model: Ref, metric: str) -> tuple[list[int], list[float]]:
    """Steps and values of a metric of the run that made the model: `train/loss`, `validation/loss`.

    Where a run went on from a checkpoint, the later value of a step counts.

    Raises:
        ConfigError: the run has no such metric, or was made in another store.
    """
    _check(store=store, model=model)
    records = JournalReader(RunLayout(store.run(model.digest)).journal).read()
    written = [record for record in records if "metrics" in record]
    points = {
        record["step"]: record["metrics"][metric]
        for record in written
        if metric in record["metrics"]
    }
    if not points:
        names = sorted({name for record in written for name in record["metrics"]})
        raise ConfigError(
            f"The run of this model in {store.root} has no metric {metric!r}; expected "
            f"{'one of ' + ', '.join(names) if names else 'the store it was trained in'}."
        )
    steps = sorted(points)
    return steps, [points[step] for step in steps]


_EXPECTED: Mapping[str, tuple[type, str]] = {
    "store": (Layout, "what `open_store` returns"),
    "config": (PretrainConfig, "what `configure` returns"),
    "corpus": (Ref, "the corpus that `ingest` returns"),
    "tokenizer": (Ref, "the tokenizer that `train_tokenizer` returns"),
    "shards": (Ref, "the shards that `shard` returns"),
    "model": (Ref, "the model that `train` returns"),
    "prompt": (str, "one text"),
    "text": (str, "one text"),
}


def _check(**arguments: object) -> None:
    """Refuses an argument that is not what its name says."""
    for name, given in arguments.items():
        kind, expected = _EXPECTED[name]
        if not isinstance(given, kind) or (isinstance(given, Ref) and given.kind != name):
            found = given.kind if isinstance(given, Ref) else f"a {type(given).__name__}"
            raise ConfigError(f"{name} is {found}; expected {expected}.")


class _Bar:
    """A bar in a notebook or a terminal."""

    def __init__(self, bar: tqdm) -> None:
        self._bar = bar

    def show(self, percent: float, description: str) -> None:
        """As of `corpusmill.tasks.stages.progress.Bar`."""
        self.reach(int(percent), description)

    def reach(self, done: int, description: str) -> None:
        """Shows that so much of the total is done."""
        if (done, description) == (self._bar.n, self._bar.desc):
            return
        self._bar.set_description_str(description, refresh=False)
        self._bar.n = done
        self._bar.refresh()


@contextmanager
def _bar(what: str, total: int = 100) -> Iterator[_Bar]:
    """Shows a bar until the block ends; where nothing was done, what was made before is there."""
    form = "{desc}: {percentage:3.0f} %|{bar:20}| {elapsed}"
    # Standard error would be shown in red.
    with tqdm(total=total, desc=what, bar_format=form, file=sys.stdout) as shown:
        bar = _Bar(shown)
        yield bar
        if shown.n == 0:
            bar.reach(total, f"{what}: found")


class _Journal:
    """Shows the journal of a run in a bar."""

    def __init__(self, run: RunLayout, bar: _Bar) -> None:
        self._reader, self._bar = JournalReader(run.journal), bar
        self._latest: dict[str, float] = {}
        self._step = 0

    def follow(self) -> None:
        """Takes in what is new."""
        for record in self._reader.read():
            self._step = record.get("step", self._step)
            self._latest.update(record.get("metrics", {}))
        figures = [
            f"{name} {self._latest[metric]:{form}}"
            for name, metric, form in (
                ("loss", TRAIN_LOSS, ".3f"),
                ("held-out loss", VALIDATION_LOSS, ".3f"),
                ("tokens/s", TOKENS_PER_SECOND, ",.0f"),
            )
            if metric in self._latest
        ]
        self._bar.reach(self._step, ", ".join([f"train, step {self._step:,}", *figures]))
