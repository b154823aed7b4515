"""What was written before the fields of TrainConfig were grouped is still read."""

import json

from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import (
    AdamWConfig,
    CheckpointAverageConfig,
    CosineSchedule,
    EMAConfig,
    HardwareConfig,
    MachinesConfig,
    MuonConfig,
    SizeWarmUp,
    ValidationConfig,
    WindowPacking,
    WSDSchedule,
)
from corpusmill.model.training.identity import identity_of
from corpusmill.model.training.job import TrainingJob
from corpusmill.model.training.renamed import RENAMED, in_groups, is_flat

# A job.json, and the part about training in the manifests of its checkpoints, as they were written.
JOB = """{"digest": "options", "directory": "/run", "shards": "/shards", "tokenizer": "/tokenizer",
"initialize_from": null, "num_processes": 1, "model": {"architecture": "decoder", "hidden_size": 64,
"tie_word_embeddings": true}, "train": {"sequence_length": 64, "objectives": [],
"packing": "windows", "document_mask": true, "mixing": [], "initial_sequence_length": 16,
"sequence_length_warmup_steps": 8, "global_batch_size": 16, "initial_batch_size": 8,
"batch_warmup_steps": 6, "micro_batch_size": 8, "max_steps": 20, "optimizer": "adamw",
"learning_rate": 0.001, "embedding_learning_rate": null, "head_learning_rate": null,
"base_hidden_size": 32, "schedule": "cosine", "warmup_steps": 2, "decay_fraction": 0.6,
"weight_decay": 0.1, "momentum": 0.9, "newton_schulz_steps": 3, "adam_beta1": 0.9,
"adam_beta2": 0.95, "adam_epsilon": 1e-10, "max_grad_norm": 1.0, "dropout": 0.1,
"label_smoothing": 0.0, "weight_average": "ema", "ema_decay": 0.9, "averaged_checkpoints": 5,
"averaged_every": 10, "early_stopping": 3, "compile": "never", "precision": "fp32",
"device": "auto", "num_processes": 1, "num_machines": 1, "main_process_ip": null,
"main_process_port": null, "parallelism": "ddp", "activation_checkpointing": false, "seed": 0,
"log_every": 5, "validate_every": 4, "validation_windows": 64, "checkpoint_every": 10,
"profile_steps": 0}}"""
IDENTITY = """{"sequence_length": 64,
"objectives": [{"objective": "next_token"}], "packing": "windows",
"document_mask": true, "mixing": [], "initial_sequence_length": 16,
"sequence_length_warmup_steps": 8, "global_batch_size": 16, "initial_batch_size": 8,
"batch_warmup_steps": 6, "micro_batch_size": 8, "max_steps": 20, "optimizer": "adamw",
"learning_rate": 0.001, "head_learning_rate": null, "base_hidden_size": 32, "schedule": "cosine",
"warmup_steps": 2, "weight_decay": 0.1, "adam_beta1": 0.9, "adam_beta2": 0.95, "adam_epsilon":
1e-10, "max_grad_norm": 1.0, "dropout": 0.1, "label_smoothing": 0.0, "weight_average": "ema",
"ema_decay": 0.9, "early_stopping": 3, "precision": "fp32", "num_processes": 1, "seed": 0,
"validate_every": 4, "validation_windows": 64}"""
JOB_IN_GROUPS = TrainConfig(
    max_steps=20,
    sequence_length=64,
    global_batch_size=16,
    packing=WindowPacking(document_mask=True),
    batch_size_warmup=SizeWarmUp(initial=8, steps=6),
    sequence_length_warmup=SizeWarmUp(initial=16, steps=8),
    optimizer=AdamWConfig(learning_rate=0.001, base_hidden_size=32, adam_beta1=0.9),
    schedule=CosineSchedule(warmup_steps=2),
    dropout=0.1,
    average=EMAConfig(decay=0.9),
    validation=ValidationConfig(every=4, early_stopping=3),
    hardware=HardwareConfig(precision="fp32", micro_batch_size=8, num_processes=1, compile="never"),
    log_every=5,
    checkpoint_every=10,
)


def _read(**changes: object) -> TrainConfig:
    job = json.loads(JOB)
    job["train"] |= changes
    return TrainingJob.model_validate_json(json.dumps(job)).train


def test_a_job_of_ungrouped_fields_means_what_it_meant() -> None:
    assert _read() == JOB_IN_GROUPS


def test_what_a_job_says_without_an_effect_is_gone() -> None:
    assert _read(optimizer="muon", schedule="wsd").optimizer == MuonConfig(
        learning_rate=0.001, base_hidden_size=32, adam_beta1=0.9, max_grad_norm=1.0
    )
    plain = _read(weight_average=None, initial_batch_size=None, initial_sequence_length=None)
    assert not (plain.average or plain.batch_size_warmup or plain.sequence_length_warmup)
    mean = _read(weight_average="checkpoints").average
    assert mean == CheckpointAverageConfig(checkpoints=5, every=10)
    where = {"main_process_ip": "10.0.0.1", "main_process_port": 29500}
    machines = _read(num_machines=2, num_processes=2, **where).hardware.machines
    assert machines == MachinesConfig(num_machines=2, **where)


def test_what_a_job_left_out_is_what_was_left_out_then() -> None:
    job = json.loads(JOB) | {"train": {"max_steps": 9, "optimizer": "adamw", "warmup_steps": 1}}
    train = TrainingJob.model_validate(job).train
    assert train.optimizer == AdamWConfig(learning_rate=0.03, max_grad_norm=None)
    assert train.schedule == WSDSchedule(warmup_steps=1)


def test_checkpoints_of_such_a_job_are_of_the_same_run() -> None:
    shape = DecoderConfig(hidden_size=64, tie_word_embeddings=True)
    assert in_groups(json.loads(IDENTITY)) == identity_of(JOB_IN_GROUPS, "causal_lm", shape, 1)


def test_todays_config_is_not_taken_for_an_older_one() -> None:
    today = JOB_IN_GROUPS.model_dump(mode="json")
    assert not is_flat(today)
    assert is_flat(json.loads(IDENTITY))
    assert set(RENAMED) & set(today) == {"optimizer", "schedule", "packing"}
