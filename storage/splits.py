"""The two sides of a corpus and of its shards: what is trained on, and what is held out."""

from typing import Literal

Split = Literal["train", "validation"]
SPLITS: tuple[Split, Split] = ("train", "validation")
