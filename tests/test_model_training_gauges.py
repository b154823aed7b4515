"""What a run says of its own speed, and the profile of its steps."""

import gzip
import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.flops import flops_per_token
from corpusmill.model.training.gauges import Gauges, measured_peak
from corpusmill.model.training.profile import Profile
from corpusmill.storage.layout import RunLayout
from tests.training_runs import SHORT, Workshop, finish_all, losses, records

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def profiled(workshop: Workshop) -> RunLayout:
    layout = workshop.prepare("profiled", SHORT.model_copy(update={"profile_steps": 3}))
    finish_all([layout])
    return layout


def test_operations_are_those_that_torch_counts_on_the_network() -> None:
    config = DecoderConfig(num_hidden_layers=2, num_key_value_heads=2)
    network = Decoder(config, 320)
    network.init_weights(seed=0)
    # Logits, since the loss works out its gradient in the forward pass.
    ids = torch.zeros((2, 64), dtype=torch.int64)
    counter = FlopCounterMode(display=False)
    with counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        network(ids).sum().backward()
    # The gradient of the first layer's inputs and of the embeddings takes no product.
    assert flops_per_token(config, 320, 64) * 128 == pytest.approx(
        counter.get_total_flops(), rel=0.02
    )


def test_a_measured_peak_is_one_that_a_product_reaches() -> None:
    assert 1e8 < measured_peak(CPU, torch.float32) < 1e15


def test_parts_of_the_time_are_counted_once() -> None:
    gauges = Gauges(CPU)
    for _ in range(2):
        with gauges.time("data"):
            torch.ones(10).sum()
    assert 0 < gauges.read()["data"] < 1
    assert gauges.read() == {}


@pytest.mark.parametrize(
    ("key", "most"),
    [("mfu", 1.2), ("data_wait", 1.0), ("optimizer_share", 1.0), ("memory_gb", 64.0)],
)
def test_every_log_of_a_run_has_its_gauges(profiled: RunLayout, key: str, most: float) -> None:
    values = losses(profiled, f"performance/{key}")
    assert len(values) == SHORT.max_steps
    assert all(0 < value < most for value in values)


def test_the_journal_says_what_peak_the_run_is_measured_against(profiled: RunLayout) -> None:
    (started,) = records(profiled, "started")
    assert started["peak_tflops"] > 0


def test_a_profile_has_a_trace_to_look_at_and_a_table_to_read(profiled: RunLayout) -> None:
    (record,) = records(profiled, "profile")
    assert (record["step"], record["path"]) == (13, str(profiled.profile))
    with gzip.open(profiled.profile / "trace.json.gz") as file:
        names = {event.get("name") for event in json.load(file)["traceEvents"]}
    assert "aten::mm" in names
    assert "aten::mm" in (profiled.profile / "table.txt").read_text(encoding="utf-8")


def test_a_profile_longer_than_the_run_is_of_the_whole_run(profiled: RunLayout) -> None:
    profile = Profile(profiled.path / "long", TrainConfig(max_steps=2, profile_steps=5))
    assert [profile.reach(step) for step in range(3)] == [False, False, True]
