"""Fill-in-the-middle (Bavarian et al. 2022): a decoder learns to write between two texts.

A text is cut at two places into prefix, middle and suffix, and read as prefix, suffix, middle, each
behind a token that says what it is (the paper's PSM).
"""

from collections.abc import Sequence

import numpy as np

from corpusmill.model.data.batches import Batch
from corpusmill.model.data.draws import uniforms
from corpusmill.model.data.windows import Windows
from corpusmill.model.objectives.vocabulary import Vocabulary
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import TokenSource

_PLACES = 8  # purpose of random numbers
_MARKS = 3


class Infilled:
    """Windows of the stream in each of which the longest text is rearranged.

    A window is as much shorter as the tokens are that mark the parts.

    Attributes:
        dropped: none.
    """

    dropped = 0

    def __init__(
        self,
        stream: TokenSource,
        sequence_length: int,
        vocabulary: Vocabulary,
        seed: int,
        sections: Sequence[tuple[int, int]],
    ) -> None:
        """Cuts a stream.

        Raises:
            ConfigError: the vocabulary has no tokens that mark the parts, or there is no room.
        """
        if not vocabulary.infilling:
            raise ConfigError(
                "The tokenizer has no tokens for fill_in_the_middle; set tokenizer.infilling to "
                "true, or leave it out of train.objectives."
            )
        if sequence_length <= _MARKS:
            raise ConfigError(
                f"train.sequence_length is {sequence_length}, which leaves no text beside the "
                f"tokens of fill_in_the_middle; set it to {_MARKS + 1} or more."
            )
        self._windows = Windows(stream, sequence_length - _MARKS, sections)
        self._vocabulary, self._seed = vocabulary, seed
        self._length = sequence_length
        self.sizes = self._windows.sizes
        self.longest = self._windows.longest + _MARKS

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of text each of these rows predicts; int64, (...)."""
        return self._windows.num_targets(numbers)

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these rows predicts, those that mark parts too; int64, (...)."""
        return self._windows.num_targets(numbers) + _MARKS

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> Batch:
        """The rows with these numbers, cut as these draws say."""
        windows = self._windows.read(numbers)
        tokens = np.zeros((len(numbers), self._length + 1), windows.tokens.dtype)
        places = uniforms(self._seed, draws, _PLACES, 2)
        for row, num_targets in enumerate(windows.num_targets.tolist()):
            whole = windows.tokens[row, : num_targets + 1]
            begin, end = self._longest_text(whole)
            cuts = np.sort((places[row] * (end - begin + 1)).astype(np.int64)) + begin
            prefix, middle, suffix = np.split(whole[begin:end], cuts - begin)
            before, between, after = self._vocabulary.infilling
            tokens[row, : num_targets + 1 + _MARKS] = np.concatenate(
                [
                    *(whole[:begin], [before], prefix, [after], suffix, [between], middle),
                    whole[end:],
                ]
            )
        return Batch(tokens, windows.num_targets + _MARKS)

    def _longest_text(self, tokens: np.ndarray) -> tuple[int, int]:
        """Where the longest text between two closing tokens begins and ends."""
        closing = np.flatnonzero(tokens == self._vocabulary.closing)
        begins = np.concatenate([[0], closing + 1])
        ends = np.concatenate([closing, [len(tokens)]])
        longest = int((ends - begins).argmax())
        return int(begins[longest]), int(ends[longest])
