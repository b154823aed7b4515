"""Continuations: greedy, drawn, stopped, and longer than the model's sequence length."""

from functools import partial

import pytest
import torch

from model.generation import generate
from model.network.decoder import Decoder
from tests.networks import random_decoder

VOCAB = 50
NEVER = VOCAB


@pytest.fixture
def model() -> Decoder:
    return random_decoder(VOCAB)


continue_greedily = partial(
    generate, sequence_length=64, max_new_tokens=20, temperature=0.0, top_k=1, seed=0, stop_id=NEVER
)


def test_the_cache_changes_no_token(model: Decoder) -> None:
    text = [3, 1, 4, 1, 5]
    for token in continue_greedily(model, text):
        assert token == int(model(torch.tensor([text]))[0, -1].argmax())
        text.append(token)
    assert len(text) == 25


def test_a_full_window_goes_on_from_its_second_half(model: Decoder) -> None:
    text = list(range(12))
    seen = text[-8:]
    for token in continue_greedily(model, text, sequence_length=8):
        assert token == int(model(torch.tensor([seen]))[0, -1].argmax())
        text.append(token)
        seen = [*seen, token] if len(seen) < 8 else text[-4:]
    assert len(text) == 32


def test_a_sequence_length_of_one_is_enough(model: Decoder) -> None:
    assert len(continue_greedily(model, [1, 2], sequence_length=1)) == 20


def test_the_seed_decides_the_draws(model: Decoder) -> None:
    draw = partial(continue_greedily, model, [7], temperature=1.0, top_k=VOCAB)
    assert draw(seed=1) == draw(seed=1)
    assert draw(seed=1) != draw(seed=2)


def test_top_k_of_one_and_temperature_zero_are_greedy(model: Decoder) -> None:
    greedy = continue_greedily(model, [7])
    assert continue_greedily(model, [7], temperature=1.0, top_k=1) == greedy


def test_top_k_bounds_the_draws(model: Decoder) -> None:
    likeliest = model(torch.tensor([[7]]))[0, -1].topk(3).indices.tolist()
    drawn = {
        continue_greedily(model, [7], temperature=5.0, top_k=3, seed=seed, max_new_tokens=1)[0]
        for seed in range(40)
    }
    assert drawn == set(likeliest)


def test_the_stop_token_ends_the_text_and_is_left_out(model: Decoder) -> None:
    endless = continue_greedily(model, [3, 1, 4])
    stop = endless[5]
    stopped = continue_greedily(model, [3, 1, 4], stop_id=stop)
    assert stopped == endless[: endless.index(stop)]


def test_bf16_generates(model: Decoder) -> None:
    model.compute_dtype = torch.bfloat16
    assert len(continue_greedily(model, [3, 1, 4])) == 20
