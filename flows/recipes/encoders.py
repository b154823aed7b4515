"""Recipes of encoders."""

from corpusmill.flows.config import PretrainConfig, RegistrationConfig
from corpusmill.model.network.config import BertConfig
from corpusmill.model.objectives.config import MaskedTokens
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import (
    AdamWConfig,
    HardwareConfig,
    MuonConfig,
    ValidationConfig,
    WSDSchedule,
)


def bert_tiny() -> PretrainConfig:
    """An encoder that fills in masked tokens: minutes on two cores.

    Without next-sentence prediction, with which it learned less in as many steps.
    """
    return PretrainConfig(
        tokenizer=TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=4096),
        model=BertConfig(max_position_embeddings=128),
        train=TrainConfig(
            max_steps=1000,
            sequence_length=128,
            global_batch_size=32,
            optimizer=MuonConfig(learning_rate=0.02, weight_decay=0.01),
            schedule=WSDSchedule(warmup_steps=20),
            hardware=HardwareConfig(micro_batch_size=16),
        ),
        registration=RegistrationConfig(name="bert-tiny"),
    )


def bert_zh() -> PretrainConfig:
    """An encoder of Chinese, on the text in corpus.sources: about ten minutes on two cores.

    Half as wide as bert-tiny, so that it reads three times the text in a minute; 40 % masked, by
    whole words: a step then predicts 2.7 times the tokens and leaves bare frequencies sooner.
    """
    base = bert_tiny()
    train = base.train.model_copy(
        update={
            "max_steps": 1800,
            "global_batch_size": 64,
            "objectives": (MaskedTokens(share=0.4, whole_words=True),),
            "hardware": HardwareConfig(micro_batch_size=32),
        }
    )
    # Not validated, for the sources are still to be named: no Chinese text comes along.
    return base.model_copy(
        update={
            "corpus": base.corpus.model_copy(update={"sources": ()}),
            "tokenizer": base.tokenizer.model_copy(update={"vocab_size": 6144}),
            "model": base.model.model_copy(update={"hidden_size": 128, "intermediate_size": 512}),
            "train": train,
            "registration": RegistrationConfig(name="bert-zh"),
        }
    )


def bert_base() -> PretrainConfig:
    """BERT-base as Devlin et al. 2019 (§A.2) trained it: 110 million parameters, AdamW, dropout.

    Its 10⁶ steps read 40 epochs of 3.3 billion words; give it text of that size in corpus.sources.
    """
    base = bert_tiny()
    return base.model_copy(
        update={
            "tokenizer": base.tokenizer.model_copy(update={"vocab_size": 30_522}),
            "model": BertConfig(
                hidden_size=768,
                num_hidden_layers=12,
                num_attention_heads=12,
                intermediate_size=3072,
                max_position_embeddings=512,
                next_sentence=True,
            ),
            "train": TrainConfig(
                max_steps=1_000_000,
                sequence_length=512,
                global_batch_size=256,
                optimizer=AdamWConfig(
                    learning_rate=1e-4,
                    weight_decay=0.01,
                    adam_beta1=0.9,
                    adam_beta2=0.999,
                    adam_epsilon=1e-6,
                ),
                schedule=WSDSchedule(warmup_steps=10_000, decay_fraction=0.99),
                dropout=0.1,
                validation=ValidationConfig(every=5000),
                hardware=HardwareConfig(device="cuda", micro_batch_size=32),
                checkpoint_every=5000,
            ),
            "registration": RegistrationConfig(name="bert-base"),
        }
    )
