"""Recipes of encoder-decoders: what was cut out of a text, and translation."""

from corpusmill.flows.config import PretrainConfig, RegistrationConfig
from corpusmill.flows.recipes.encoders import bert_tiny
from corpusmill.model.network.config import EncoderDecoderConfig
from corpusmill.model.objectives.config import Translation
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import (
    AdamWConfig,
    CheckpointAverageConfig,
    HardwareConfig,
    InverseSqrtSchedule,
    MuonConfig,
    ValidationConfig,
    WSDSchedule,
)


def denoise_tiny() -> PretrainConfig:
    """The original Transformer, norms first, writes what was cut out of a text: minutes."""
    return PretrainConfig(
        tokenizer=TokenizerConfig(family="encoder_decoder"),
        model=EncoderDecoderConfig(norm_first=True, max_position_embeddings=128),
        train=bert_tiny().train.model_copy(update={"schedule": WSDSchedule()}),
        registration=RegistrationConfig(name="denoise-tiny"),
    )


def translate_tiny() -> PretrainConfig:
    """The Transformer of Vaswani et al. 2017, small, on the pairs in corpus.sources: half an hour.

    1,600 steps read 29,000 pairs seven times. The mean of the last weights, as in the paper.
    """
    base = denoise_tiny()
    train = TrainConfig(
        max_steps=1600,
        sequence_length=128,
        global_batch_size=128,
        objectives=(Translation(),),
        optimizer=MuonConfig(learning_rate=0.02, weight_decay=0.01),
        schedule=InverseSqrtSchedule(warmup_steps=150),
        dropout=0.15,
        label_smoothing=0.1,
        average=CheckpointAverageConfig(checkpoints=10, every=20),
        hardware=HardwareConfig(micro_batch_size=32, num_processes=1),
    )
    # Not validated, for the sources are still to be named.
    return base.model_copy(
        update={
            "model": EncoderDecoderConfig(max_position_embeddings=128),
            "train": train,
            "registration": RegistrationConfig(name="translate-tiny"),
        }
    )


def translate_base() -> PretrainConfig:
    """The base model of Vaswani et al. 2017 (§5), trained as they did: 65 million parameters."""
    base = translate_tiny()
    return base.model_copy(
        update={
            "tokenizer": base.tokenizer.model_copy(update={"vocab_size": 37_000}),
            "model": EncoderDecoderConfig(
                hidden_size=512,
                num_encoder_layers=6,
                num_decoder_layers=6,
                num_attention_heads=8,
                intermediate_size=2048,
                max_position_embeddings=512,
            ),
            "train": TrainConfig(
                max_steps=100_000,
                sequence_length=256,
                # About the paper's 25,000 tokens a side, at WMT's 28 a sentence.
                global_batch_size=896,
                objectives=(Translation(),),
                optimizer=AdamWConfig(
                    # Equation 3 at its peak: (512 · 4000)^-½.
                    learning_rate=7e-4,
                    adam_beta1=0.9,
                    adam_beta2=0.98,
                    adam_epsilon=1e-9,
                    weight_decay=0.0,
                    max_grad_norm=None,
                ),
                schedule=InverseSqrtSchedule(warmup_steps=4000),
                dropout=0.1,
                label_smoothing=0.1,
                validation=ValidationConfig(every=2500),
                hardware=HardwareConfig(device="cuda", micro_batch_size=112),
                checkpoint_every=2500,
            ),
            "registration": RegistrationConfig(name="translate-base"),
        }
    )


def denoise_base() -> PretrainConfig:
    """T5-base's size and schedule (Raffel et al. 2020, §3.1.2), on 34 billion tokens."""
    base = denoise_tiny()
    paper = translate_base().train.optimizer
    train = TrainConfig(
        max_steps=524_288,
        sequence_length=512,
        global_batch_size=128,
        optimizer=paper.model_copy(update={"learning_rate": 1e-3, "max_grad_norm": 1.0}),
        schedule=InverseSqrtSchedule(warmup_steps=10_000),
        validation=ValidationConfig(every=5000),
        hardware=HardwareConfig(device="cuda", micro_batch_size=32),
        checkpoint_every=5000,
    )
    return base.model_copy(
        update={
            "tokenizer": base.tokenizer.model_copy(update={"vocab_size": 32_128}),
            "model": EncoderDecoderConfig(
                hidden_size=768,
                num_encoder_layers=12,
                num_decoder_layers=12,
                num_attention_heads=12,
                intermediate_size=3072,
                norm_first=True,
                max_position_embeddings=512,
            ),
            "train": train,
            "registration": RegistrationConfig(name="denoise-base"),
        }
    )
