"""A decoder and its tokenizer, ready to continue text."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from corpusmill.model.inference.generation import Tokens, gather, generate
from corpusmill.model.inference.request import Sampling
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.tokenizer.control import end_of_text_id
from corpusmill.model.tokenizer.encoding import decode, encode_texts


@dataclass(frozen=True)
class Writer:
    """A model ready to continue text.

    Attributes:
        sequence_length: tokens it has learned to look back on.
    """

    model: CausalNetwork
    tokenizer: Tokenizer
    sequence_length: int

    def continue_texts(
        self, prompts: Sequence[str], *, max_new_tokens: int, sampling: Sampling
    ) -> list[str]:
        """What the model writes after each prompt; an empty one starts a new document."""
        tokens = self.tokens(prompts, max_new_tokens=max_new_tokens, sampling=sampling)
        texts = gather(tokens, len(prompts))
        return [decode(self.tokenizer, ids, skip_special_tokens=True) for ids in texts]

    def tokens(self, prompts: Sequence[str], *, max_new_tokens: int, sampling: Sampling) -> Tokens:
        """The same, token by token."""
        end = end_of_text_id(self.tokenizer)
        encoded = encode_texts(self.tokenizer, prompts)
        return generate(
            self.model,
            [[end, *ids] for ids in encoded],
            sequence_length=self.sequence_length,
            max_new_tokens=max_new_tokens,
            sampling=sampling,
            stop_id=end,
        )
