"""A body and a head: what they answer, and the classes of transformers that answer the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from corpusmill.model.network.config import ModelConfig
from corpusmill.model.tasks.config import HeadConfig, Pooling
from corpusmill.model.tasks.folder import export_labeller, load_labeller
from corpusmill.model.tasks.network import Labeller
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.model.training.groups import AdamWConfig
from corpusmill.model.training.optimizer import build_optimizers, kinds
from tests.corpora import speeches
from tests.networks import (
    BERT_SHAPE,
    DECODER,
    GPT2_SHAPE,
    NORM_FIRST,
    TRANSFORMER,
    random_network,
)

VOCAB = 500
IDS = torch.randint(5, VOCAB, (4, 12), generator=torch.Generator().manual_seed(3))
LENGTHS = torch.tensor([12, 7, 1, 5])
SEEN = torch.arange(12) < LENGTHS[:, None]
LABELS = ("bad", "good", "neither")
# A shape, how it is pooled, and the class of transformers that does the same.
KINDS: dict[str, tuple[ModelConfig, Pooling, str | None]] = {
    "bert": (BERT_SHAPE, "first", "BertForSequenceClassification"),
    "bert, mean": (BERT_SHAPE, "mean", None),
    "decoder": (DECODER, "last", "Qwen3ForSequenceClassification"),
    "decoder, mean": (DECODER, "mean", None),
    "gpt2": (GPT2_SHAPE, "last", "GPT2ForSequenceClassification"),
    "transformer": (TRANSFORMER, "mean", None),
    "transformer, norm first": (NORM_FIRST, "mean", None),
}
EACH = pytest.mark.parametrize("name", KINDS)
Tokenizers = Callable[[str], Path]


def _labeller(name: str, **head: object) -> Labeller:
    shape, pooling, _ = KINDS[name]
    given = {"kind": "classification", "labels": LABELS, "pooling": pooling, **head}
    network = Labeller(random_network(shape, VOCAB), HeadConfig.model_validate(given))
    network.init_head(0, keep_pooler=False)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.classifier.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    return network


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Tokenizers:
    """A tokenizer folder for each family."""
    algorithms = {"causal_lm": "bpe", "masked_lm": "wordpiece", "encoder_decoder": "unigram"}
    folders = {}
    for family, algorithm in algorithms.items():
        folders[family] = tmp_path_factory.mktemp(family)
        given = {"vocab_size": VOCAB, "family": family, "algorithm": algorithm}
        config = TokenizerConfig.model_validate(given)
        train_tokenizer(speeches(1), config, folders[family])
    return folders.__getitem__


@EACH
def test_what_stands_behind_a_text_changes_no_answer(name: str) -> None:
    network = _labeller(name).eval()
    together = network(IDS, lengths_B=LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = network(IDS[row : row + 1, :length], lengths_B=LENGTHS[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=1e-4)


@EACH
def test_labels_are_learned_by_heart(name: str) -> None:
    network, targets = _labeller(name), torch.tensor([0, 1, 2, 1])
    optimizers = build_optimizers(network, AdamWConfig(learning_rate=3e-3))
    for _ in range(100):
        loss = network(IDS, lengths_B=LENGTHS, targets=targets)
        (loss / 4).backward()
        optimizers.step(1.0)
    assert loss.item() / 4 < 0.1


@EACH
def test_every_parameter_is_moved(name: str) -> None:
    network = _labeller(name)
    network(IDS, lengths_B=LENGTHS, targets=torch.tensor([0, 1, 2, 1])).backward()
    moved = [parameter for found in kinds(network).values() for parameter in found]
    assert {id(each) for each in moved} == {id(each) for each in network.parameters()}
    if KINDS[name][0].architecture != "bert":  # of BERT only pairs have the second segment
        assert all(each.grad is not None and each.grad.any() for each in moved)


@EACH
def test_a_folder_gives_the_network_back(name: str, tokenizers: Tokenizers, tmp_path: Path) -> None:
    network = _labeller(name).eval()
    export_labeller(network, tokenizers(network.config.family), 12, tmp_path)
    loaded, length = load_labeller(tmp_path)
    assert (length, loaded.head) == (12, network.head)
    expected = network(IDS, lengths_B=LENGTHS)
    assert torch.equal(loaded.eval()(IDS, lengths_B=LENGTHS), expected)


@pytest.mark.parametrize("name", [name for name, each in KINDS.items() if each[2]])
def test_transformers_gives_the_same_answers(
    name: str, tokenizers: Tokenizers, tmp_path: Path
) -> None:
    network = _labeller(name).eval()
    export_labeller(network, tokenizers(network.config.family), 12, tmp_path)
    kind = getattr(transformers, KINDS[name][2] or "")
    theirs, loading = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    assert transformers.AutoConfig.from_pretrained(tmp_path).id2label[1] == "good"
    padded = IDS.masked_fill(~SEEN, theirs.config.pad_token_id)
    answer = theirs.eval()(padded, attention_mask=SEEN.long()).logits
    ours = network(padded, lengths_B=LENGTHS)
    torch.testing.assert_close(ours, answer, atol=1e-4, rtol=1e-4)


def test_a_number_is_told_in_its_own_units_by_what_is_exported(
    tokenizers: Tokenizers, tmp_path: Path
) -> None:
    head = {"kind": "regression", "labels": (), "mean": 3.0, "std": 1.5}
    network = _labeller("bert", **head).eval()
    export_labeller(network, tokenizers("masked_lm"), 12, tmp_path)
    loaded, _ = load_labeller(tmp_path)
    expected = network(IDS, lengths_B=LENGTHS)
    torch.testing.assert_close(loaded.eval()(IDS, lengths_B=LENGTHS), expected)


def test_the_loss_of_numbers_is_in_units_of_their_variance() -> None:
    network = _labeller("bert", kind="regression", labels=(), mean=3.0, std=1.5).eval()
    told = network(IDS, lengths_B=LENGTHS)[:, 0]
    loss = network(IDS, lengths_B=LENGTHS, targets=told + 3.0)
    assert loss.item() == pytest.approx(4 * (3.0 / 1.5) ** 2, rel=1e-5)


def test_several_labels_are_asked_one_by_one() -> None:
    network = _labeller("bert", kind="several").eval()
    targets = torch.tensor([[0.0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]])
    logits = network(IDS, lengths_B=LENGTHS)
    expected = -(logits.sigmoid().log() * targets + (-logits).sigmoid().log() * (1 - targets)).sum()
    loss = network(IDS, lengths_B=LENGTHS, targets=targets)
    torch.testing.assert_close(loss, expected)


def test_a_frozen_body_does_not_move() -> None:
    network = _labeller("decoder")
    network.body.requires_grad_(requires_grad=False)
    before = {name: each.clone() for name, each in network.named_parameters()}
    optimizers = build_optimizers(network, AdamWConfig())
    network(IDS, lengths_B=LENGTHS, targets=torch.tensor([0, 1, 2, 1])).backward()
    optimizers.step(1.0)
    moved = {name for name, each in network.named_parameters() if not each.equal(before[name])}
    assert moved == {"classifier.weight"}
