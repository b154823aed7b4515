"""A network that answers with labels or a number: the body of a language model and a head.

Shape suffixes as in `corpusmill.model.network.attention`; C outputs of the head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from corpusmill.model.network.base import LanguageModel, Network
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.linear import Linear
from corpusmill.model.network.roles import Role
from corpusmill.model.tasks.config import HeadConfig

# Logits begin at zero: every answer is then equally likely.
_ANSWERS = Role("head", "zeros")


class Labeller(Network):
    """The states of a text, pooled, and a matrix.

    Attributes:
        body: a language model without its own head.
        head: the shape of the head.
        pooler: what the first state goes through; None with another pooling.
        weights_C: how much the loss of each label weighs in training; None for all alike.
    """

    def __init__(self, body: LanguageModel, head: HeadConfig) -> None:
        super().__init__(body.config, body.vocab_size, body.compute_dtype)
        self.body, self.head = body, head
        width = body.config.hidden_size
        pooler = body.pooler if isinstance(body, Bert) else None
        self.pooler: Linear | None = None
        if head.pooling == "first":
            self.pooler = pooler or Linear(width, width, bias=True)
        body.drop_head()
        # Of decoders the classes of transformers have a matrix alone.
        bias = body.config.family != "causal_lm"
        self.classifier = Linear(width, head.outputs, bias=bias, role=_ANSWERS)
        self.weights_C: Tensor | None
        self.register_buffer("weights_C", None, persistent=False)

    def blank(self) -> "Labeller":
        """Another one of the same kind, with parameters that are yet to be filled."""
        return Labeller(self.body.blank(), self.head)

    def forward(
        self,
        ids_BT: Tensor,
        *,
        lengths_B: Tensor,
        segments_BT: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """What it answers, or the loss when targets are given.

        Args:
            ids_BT: token ids, int64, padded at the end.
            lengths_B: positions of each text before its padding.
            segments_BT: 0 for the first text of a pair, 1 for the second, where it tells them.
            targets: number of each text's label, int64 (B,); for several labels 1 where it has one,
                fp32 (B, C); for regression the number itself, fp32 (B,).

        Returns:
            logits_BC, fp32; for regression the number. With targets the sum over all texts of
            -log p(label), smoothed and weighted in training; for several labels of that of each;
            for regression of the squared error in units of the variance. fp32.
        """
        states_BTD = self.body.states(ids_BT, lengths_B, segments_BT)
        pooled_BD = self.body.dropped(self._pooled(states_BTD, lengths_B))
        logits_BC: Tensor = self.classifier(pooled_BD).float()
        if self.head.kind == "regression":
            logits_BC = logits_BC * self.head.std + self.head.mean
        if targets is None:
            return logits_BC
        return self.loss(logits_BC, targets)

    def scores(self, logits_BC: Tensor) -> Tensor:
        """Probabilities at the head's temperature, (B, C); for regression the number itself.

        Labels of classification exclude each other: theirs add up to one.
        """
        match self.head.kind:
            case "classification":
                return (logits_BC / self.head.temperature).softmax(-1)
            case "several":
                return (logits_BC / self.head.temperature).sigmoid()
            case "regression":
                return logits_BC

    def _pooled(self, states_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        match self.head.pooling:
            case "first":
                assert self.pooler is not None
                pooled_BD: Tensor = self.pooler(states_BTD[:, 0])
                return torch.tanh(pooled_BD)
            case "last":
                rows = torch.arange(len(lengths_B), device=lengths_B.device)
                last_BD: Tensor = states_BTD[rows, lengths_B - 1]
                return last_BD
            case "mean":
                places_T = torch.arange(states_BTD.shape[1], device=lengths_B.device)
                there_BT1 = (places_T < lengths_B[:, None]).unsqueeze(-1).to(states_BTD.dtype)
                return (states_BTD * there_BT1).sum(1) / lengths_B[:, None].to(states_BTD.dtype)

    def loss(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        """The loss of what it answers; arguments and sum as of `forward`."""
        smoothing = self.smoothing if self.training else 0.0
        weights_C = self.weights_C if self.training else None
        match self.head.kind:
            case "classification":
                return F.cross_entropy(
                    logits_BC, targets, weights_C, reduction="sum", label_smoothing=smoothing
                )
            case "several":
                aims_BC = targets * (1 - smoothing) + smoothing / 2
                return F.binary_cross_entropy_with_logits(
                    logits_BC, aims_BC, weights_C, reduction="sum"
                )
            case "regression":
                error_B = (logits_BC[:, 0] - targets) / self.head.std
                return error_B.square().sum()

    def set_dropout(self, share: float) -> None:
        """Drops this share of the embeddings, of what every layer adds, and before the head."""
        self.body.set_dropout(share)

    @torch.no_grad()
    def init_head(self, seed: int, *, keep_pooler: bool) -> None:
        """Fills the head, and the pooler before it unless that is kept."""
        self.classifier.weight.zero_()
        if self.classifier.bias is not None:
            self.classifier.bias.zero_()
        if self.pooler is not None and not keep_pooler:
            assert self.pooler.bias is not None
            weight, generator = self.pooler.weight, torch.Generator().manual_seed(seed)
            weight.copy_(torch.randn(weight.shape, generator=generator) * weight.shape[1] ** -0.5)
            self.pooler.bias.zero_()
