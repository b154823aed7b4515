"""The training examples that are most like some others, by their weighted n-grams.

One thread and no random number: the same examples always have the same neighbours.
"""

from dataclasses import replace

import numpy as np

from corpusmill.model.baselines.config import NeighboursJob
from corpusmill.model.baselines.features import Features
from corpusmill.storage.errors import InputError
from corpusmill.storage.examples.neighbours import Neighbour, write_neighbours
from corpusmill.storage.examples.reading import Examples, read_examples


def find_neighbours(job: NeighboursJob) -> None:
    """Writes the nearest training example of each of these examples into the job's directory.

    Nearest by the cosine of their n-grams, a pair taken as one text; of equals the first. One that
    shares none with any has no neighbour.

    Raises:
        ArtifactError: the examples are damaged.
        InputError: no training text holds a word, or an example is not there.
    """
    train, asked = _as_texts(read_examples(job.examples, "train")), _asked(job)
    weighed = Features(train)
    alike = weighed.of(asked) @ weighed.of(train).T
    nearest = np.asarray(alike.argmax(1)).ravel().tolist()
    found = []
    for row, column in enumerate(nearest):
        cosine = float(alike[row, column])
        if cosine > 0:
            found.append(Neighbour(asked.ids[row], train.ids[column], cosine))
    write_neighbours(job.directory, found)


def _asked(job: NeighboursJob) -> Examples:
    examples = read_examples(job.examples, job.side)
    number = {identity: row for row, identity in enumerate(examples.ids)}
    missing = next((each for each in job.ids if each not in number), None)
    if missing is not None:
        raise InputError(
            f"The example {missing} is not among those for {job.side} in {job.examples}; expected "
            "one of these: predict them again."
        )
    return _as_texts(examples.rows([number[each] for each in job.ids]))


def _as_texts(examples: Examples) -> Examples:
    if examples.pairs is None:
        return examples
    texts = [f"{text}\n{pair}" for text, pair in zip(examples.texts, examples.pairs, strict=True)]
    return replace(examples, texts=texts, pairs=None)
