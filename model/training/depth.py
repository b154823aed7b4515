"""Rates that fall with depth: what is general in a pretrained network moves least."""

from collections.abc import Mapping

from torch import Tensor

from corpusmill.model.network.base import Network

# What stands before the first layer: tables of tokens, positions and segments, and their norm.
_LOWEST = "embed"


def rate_shares(network: Network, decay: float) -> Mapping[Tensor, float]:
    """Share of its rate that each parameter has, after Clark et al. 2020 (ELECTRA, appendix A).

    Of L layers number l has ξ^(L-l), so that the last one has all of it, and what stands before the
    first ξ^(L+1), whether or not it is the head too. A head, a pooler and the norm after the last
    layer have all of it. Layers count in the order in which they compute: of an encoder-decoder
    first those that read, then those that write, of which it has none where it answers with labels.

    Args:
        decay: ξ, above 0, at most 1.
    """
    blocks = list(network.blocks())
    above = {
        parameter: len(blocks) - number
        for number, block in enumerate(blocks, start=1)
        for parameter in block.parameters()
    }
    lowest = {
        parameter: len(blocks) + 1
        for name, parameter in network.named_parameters()
        if any(part.startswith(_LOWEST) for part in name.split("."))
    }
    powers = dict.fromkeys(network.parameters(), 0) | above | lowest
    return {parameter: decay**power for parameter, power in powers.items()}
