"""config.json: the shape of a network in the words of transformers, out and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpusmill.model.hf.bert import FORMAT as BERT
from corpusmill.model.hf.families import family_of
from corpusmill.model.hf.format import Format
from corpusmill.model.hf.gpt2 import FORMAT as GPT2
from corpusmill.model.hf.inert import is_inert
from corpusmill.model.hf.marian import MARIAN, PEGASUS
from corpusmill.model.hf.qwen3 import FORMAT as QWEN3
from corpusmill.model.network.config import ModelConfig
from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError, ModelError

FORMATS = (QWEN3, GPT2, BERT, MARIAN, PEGASUS)
_TRAINED = "sequence_length"  # ours: of what it was trained on, where it has more positions
# Of fields that none of ours has, the only value.
_PLAIN = {
    "add_cross_attention": False,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "pruned_heads": {},
    "tie_encoder_decoder": False,
}
# Other names of the same function.
_ACTIVATIONS = {"gelu_pytorch_tanh": "gelu_new", "swish": "silu", "gelu_python": "gelu"}


def format_for(config: ModelConfig) -> Format:
    """The format in which a network of this shape is written."""
    [found] = [each for each in FORMATS if each.fits(config)]
    return found


def describe(config: ModelConfig, vocab_size: int, sequence_length: int) -> dict[str, Any]:
    """What config.json says, but for the ids of control tokens.

    Args:
        sequence_length: tokens of the longest sequence that it has learned to read.
    """
    fmt = format_for(config)
    shape = {theirs: getattr(config, ours) for ours, theirs in fmt.fields.items()}
    described = {
        "architectures": [fmt.architecture(config)],
        "dtype": "float32",
        "model_type": fmt.model_type,
        **fmt.fixed,
        **shape,
        "vocab_size": vocab_size,
        "use_cache": True,
    }
    if described.setdefault(fmt.length, sequence_length) > sequence_length:
        described[_TRAINED] = sequence_length
    if config.family == "encoder_decoder":
        described |= {
            "decoder_vocab_size": vocab_size,
            "decoder_attention_heads": described["encoder_attention_heads"],
            "decoder_ffn_dim": described["encoder_ffn_dim"],
        }
    return described


def understand(described: Mapping[str, Any], path: Path) -> tuple[Format, ModelConfig, int, int]:
    """The shape that a config.json describes; what only the tensors tell is left to them.

    Returns:
        Its format, the shape, tokens of the vocabulary and of the longest sequence that it has
        learned to read: as many as it has positions, unless it says that it was trained on fewer.

    Raises:
        ModelError: an architecture that is not among ours, something that changes what it computes
            and is not done here, or an impossible shape.
    """
    family_of(path.parent)
    [fmt] = [each for each in FORMATS if each.model_type == described["model_type"]]
    given = {name: each for name, each in fmt.spelled(described).items() if each is not None}
    values = {**fmt.assumed(given), **given}
    _check_alike(fmt, values, path)
    _check_fields(fmt, values, path)
    values.setdefault(_TRAINED, values.get(fmt.length))
    sizes = {ours: values[theirs] for ours, theirs in fmt.fields.items() if theirs in values}
    missing = [theirs for ours, theirs in fmt.fields.items() if sizes.get(ours) is None]
    counts = {name: values.get(name) for name in ("vocab_size", fmt.length, _TRAINED)}
    missing += [name for name, n in counts.items() if not (type(n) is int and n > 0)]
    if missing:
        wanted = " and ".join(dict.fromkeys(missing))
        raise ModelError(f"{path} lacks a usable {wanted}, which {fmt.model_type} models have.")
    if "hidden_act" in sizes:
        sizes["hidden_act"] = _ACTIVATIONS.get(sizes["hidden_act"], sizes["hidden_act"])
    try:
        config = parse(fmt.config, {**sizes, **fmt.constants})
    except ConfigError as error:
        raise ModelError(f"{path} does not describe a model: {error}") from error
    known = min(values[fmt.length], values[_TRAINED])
    return fmt, config, values["vocab_size"], known


def _check_alike(fmt: Format, values: Mapping[str, Any], path: Path) -> None:
    for name, other in fmt.alike.items():
        if values.get(name, values.get(other)) != values.get(other):
            raise ModelError(
                f"{path} has {other} {values.get(other)} and {name} {values[name]}, expected the "
                "same number."
            )


def _check_fields(fmt: Format, values: Mapping[str, Any], path: Path) -> None:
    """Refuses what would change the result: another value, or a field of unknown meaning."""
    known = {*fmt.fields.values(), *fmt.alike, fmt.length, "vocab_size"}
    fixed = {**_PLAIN, **fmt.fixed}
    for name in sorted(values.keys() - known):
        if name in fixed and values[name] != fixed[name]:
            expected = f"expected {fixed[name]!r}"
        elif name not in fixed and not is_inert(name, fmt.model_type):
            expected = "which is not computed here"
        else:
            continue
        raise ModelError(
            f"{path} has {name} {values[name]!r}, {expected}; only plain {fmt.model_type} models "
            "load."
        )
