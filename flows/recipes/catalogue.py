"""The named recipes: each a function, a variant naming only what is different."""

from collections.abc import Callable, Mapping

from corpusmill.flows.config import PretrainConfig, RegistrationConfig
from corpusmill.flows.recipes.decoders import (
    gpt2,
    gpt2_tiny,
    gpt_1b,
    gpt_medium,
    gpt_small,
    gpt_smoke,
    gpt_tiny,
    gpt_web,
    speedrun,
)
from corpusmill.flows.recipes.encoder_decoders import (
    denoise_base,
    denoise_tiny,
    translate_base,
    translate_tiny,
)
from corpusmill.flows.recipes.encoders import bert_base, bert_tiny, bert_zh
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import AdamWConfig, CosineSchedule


def adopt() -> PretrainConfig:
    """Somebody else's model goes on learning from one's own text: give initialize_from.

    Rates as continued pretraining is done with: AdamW, a short warm-up and a cosine.
    """
    train = TrainConfig(
        max_steps=1000,
        optimizer=AdamWConfig(
            learning_rate=1e-4,
            adam_beta1=0.9,
            adam_beta2=0.95,
            adam_epsilon=1e-8,
            weight_decay=0.01,
        ),
        schedule=CosineSchedule(warmup_steps=50),
    )
    base = PretrainConfig(train=train, registration=RegistrationConfig(name="adopted"))
    # Not validated, for the folder is still to be named.
    return base.model_copy(update={"initialize_from": ""})


RECIPES: Mapping[str, Callable[[], PretrainConfig]] = {
    "gpt-tiny": gpt_tiny,
    "gpt-small": gpt_small,
    "gpt-medium": gpt_medium,
    "gpt-1b": gpt_1b,
    "adopt": adopt,
    "speedrun": speedrun,
    "gpt2-tiny": gpt2_tiny,
    "gpt2": gpt2,
    "bert-tiny": bert_tiny,
    "bert-zh": bert_zh,
    "bert-base": bert_base,
    "denoise-tiny": denoise_tiny,
    "denoise-base": denoise_base,
    "translate-tiny": translate_tiny,
    "translate-base": translate_base,
    "gpt-smoke": gpt_smoke,
    "gpt-web": gpt_web,
}
