"""Continuations: greedy, drawn, stopped, and longer than the model's sequence length."""

from functools import partial
from itertools import islice
from typing import Any

import pytest
import torch

from corpusmill.model.inference.beams import beam_search
from corpusmill.model.inference.generation import gather, generate, write
from corpusmill.model.inference.request import Sampling
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from tests.networks import NORM_FIRST, TRANSFORMER, random_decoder, random_network

VOCAB = 50
NEVER = VOCAB


@pytest.fixture
def model() -> Decoder:
    return random_decoder(VOCAB)


def continue_greedily(
    model: Decoder,
    ids: list[int],
    *,
    sequence_length: int = 64,
    max_new_tokens: int = 20,
    stop_id: int = NEVER,
    **sampling: Any,
) -> list[int]:
    """Greedily, unless told otherwise."""
    tokens = generate(
        model,
        [ids],
        sequence_length=sequence_length,
        max_new_tokens=max_new_tokens,
        sampling=Sampling(**{"temperature": 0.0, **sampling}),
        stop_id=stop_id,
    )
    return gather(tokens, 1)[0]


def test_texts_side_by_side_are_continued_as_each_alone(model: Decoder) -> None:
    prompts = [[3, 1, 4, 1, 5], [2], [6, 5, 3], list(range(20))]
    alone = [continue_greedily(model, ids, sequence_length=8) for ids in prompts]
    limits: dict[str, Any] = {"sequence_length": 8, "max_new_tokens": 20}
    both = generate(model, prompts, **limits, sampling=Sampling(temperature=0), stop_id=NEVER)
    assert gather(both, 4) == alone


def test_a_text_that_ends_leaves_the_others_as_they_are(model: Decoder) -> None:
    endless = [continue_greedily(model, ids) for ids in ([3, 1, 4], [2])]
    stop = endless[0][5]
    limits: dict[str, Any] = {"sequence_length": 64, "max_new_tokens": 20}
    both = generate(
        model, [[3, 1, 4], [2]], **limits, sampling=Sampling(temperature=0), stop_id=stop
    )
    ended = [text[: text.index(stop)] if stop in text else text for text in endless]
    assert gather(both, 2) == ended


def test_the_next_text_is_drawn_with_the_next_seed(model: Decoder) -> None:
    draw: dict[str, Any] = {"temperature": 1.0, "top_k": VOCAB}
    alone = [continue_greedily(model, [7], seed=seed, **draw) for seed in (4, 5)]
    limits: dict[str, Any] = {"sequence_length": 64, "max_new_tokens": 20, "stop_id": NEVER}
    sampling = Sampling(seed=4, temperature=1.0, top_k=VOCAB)
    both = gather(generate(model, [[7], [7]], sampling=sampling, **limits), 2)
    assert both == alone
    assert both[0] != both[1]


def test_tokens_come_as_they_are_chosen(model: Decoder) -> None:
    limits: dict[str, Any] = {"sequence_length": 64, "max_new_tokens": 10**9}
    endless = generate(model, [[7]], **limits, sampling=Sampling(temperature=0), stop_id=NEVER)
    assert [token for _, token in islice(endless, 5)] == continue_greedily(model, [7])[:5]


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
        continue_greedily(model, [7], temperature=2.0, top_k=3, seed=seed, max_new_tokens=1)[0]
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


def test_top_p_bounds_the_draws(model: Decoder) -> None:
    shares = model(torch.tensor([[7]]))[0, -1].softmax(-1).sort(descending=True)
    # So many of the likeliest that one less would not have the share.
    enough = int((shares.values.cumsum(0) < 0.5).sum()) + 1
    drawn = {
        continue_greedily(
            model, [7], temperature=1.0, top_k=VOCAB, top_p=0.5, seed=seed, max_new_tokens=1
        )[0]
        for seed in range(200)
    }
    assert drawn <= set(shares.indices[:enough].tolist())
    assert len(drawn) > enough // 2


START, STOP = 0, 1
SOURCE = [5, 9, 2, 7, STOP]


@pytest.fixture(params=[TRANSFORMER, NORM_FIRST], ids=["after", "first"])
def writer(request: pytest.FixtureRequest) -> EncoderDecoder:
    network = random_network(request.param, VOCAB).eval()
    assert isinstance(network, EncoderDecoder)
    return network


@torch.no_grad()
def _next(writer: EncoderDecoder, written: list[int]) -> torch.Tensor:
    """log p of what follows, without a cache."""
    ids, source = torch.tensor([[START, *written]]), torch.tensor([SOURCE])
    logits: torch.Tensor = writer(source, ids, lengths_B=torch.tensor([len(SOURCE)]))
    return logits[0, -1].log_softmax(-1)


def test_what_is_written_greedily_is_the_likeliest_token_each_time(writer: EncoderDecoder) -> None:
    limits: dict[str, Any] = {"start_id": START, "stop_id": STOP, "max_new_tokens": 12}
    text = gather(write(writer, [SOURCE], sampling=Sampling(temperature=0), **limits), 1)[0]
    for place, token in enumerate(text):
        assert token == int(_next(writer, text[:place]).argmax())
    if len(text) < 12:
        assert int(_next(writer, text).argmax()) == STOP
    narrow = beam_search(writer, [SOURCE], beams=1, **limits)[0]
    assert narrow == text[: len(narrow)]


def _score(writer: EncoderDecoder, text: list[int]) -> float:
    """What the beam compares, token by token."""
    total = sum(_next(writer, text[:n])[t].item() for n, t in enumerate([*text, STOP]))
    return float(total / (len(text) + 1))


def test_a_beam_as_wide_as_the_vocabulary_finds_the_likeliest_text(
    writer: EncoderDecoder,
) -> None:
    others = [token for token in range(VOCAB) if token != STOP]
    texts = [[], *([token] for token in others)]
    best = max(texts, key=lambda text: _score(writer, text))
    limits: dict[str, Any] = {"start_id": START, "stop_id": STOP, "max_new_tokens": 2}
    assert beam_search(writer, [SOURCE], beams=VOCAB - 1, **limits) == [best]


def test_a_wider_beam_finds_no_worse_text(writer: EncoderDecoder) -> None:
    limits: dict[str, Any] = {"start_id": START, "stop_id": STOP, "max_new_tokens": 8}
    narrow, wide = (beam_search(writer, [SOURCE], beams=n, **limits)[0] for n in (1, 12))
    assert _score(writer, wide) >= _score(writer, narrow) - 1e-5


def test_a_text_does_not_end_where_hardly_any_would(writer: EncoderDecoder) -> None:
    with torch.no_grad():
        assert writer.head_bias is not None
        writer.head_bias[STOP] -= 8
    limits: dict[str, Any] = {"start_id": START, "stop_id": STOP, "max_new_tokens": 12}
    # Its log p is a sum of less: a text of no tokens would win, were its end counted.
    assert len(beam_search(writer, [SOURCE], beams=3, length_penalty=0.0, **limits)[0]) == 11


def test_sources_side_by_side_are_searched_and_written_about_as_each_alone(
    writer: EncoderDecoder,
) -> None:
    sources = [SOURCE, [8, STOP], [4, 4, 9, 30, 31, 12, 7, STOP]]
    limits: dict[str, Any] = {"start_id": START, "stop_id": STOP, "max_new_tokens": 8}
    alone = [beam_search(writer, [source], beams=3, **limits)[0] for source in sources]
    assert beam_search(writer, sources, beams=3, **limits) == alone
    drawn = Sampling(temperature=0.0)
    apart = [gather(write(writer, [each], sampling=drawn, **limits), 1)[0] for each in sources]
    assert gather(write(writer, sources, sampling=drawn, **limits), 3) == apart
