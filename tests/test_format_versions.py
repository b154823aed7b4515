"""What each stage makes of one small input: where it changes, so must the stage's format version.

A stage whose work is there is not done again, so that a change of the code that makes other bytes
of the same inputs would leave the old ones in use. What floating point decides is left out.
"""

import hashlib
import json
from dataclasses import asdict, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.torch import load_file

from corpusmill.model.config import EvaluationConfig, EvaluationResult
from corpusmill.model.evaluation.causal import score_causal
from corpusmill.model.evaluation.masked import score_masked
from corpusmill.model.evaluation.spans import score_spans
from corpusmill.model.evaluation.translation import score_translation
from corpusmill.model.hf.folder import export_model
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.inference.loading import Loaded
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.config import (
    BertConfig,
    DecoderConfig,
    EncoderDecoderConfig,
    ModelConfig,
)
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.model.objectives.config import (
    FillInTheMiddle,
    MaskedTokens,
    NextToken,
    SpanCorruption,
    Translation,
)
from corpusmill.model.tokenizer.bpe import train_by_tokenizers
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import control_tokens, frame, roles_of, write_roles
from corpusmill.model.tokenizer.encoding import Encoder, decode
from corpusmill.model.tokenizer.folder import TOKENIZER, load_tokenizer
from corpusmill.model.tokenizer.runs import learnable
from corpusmill.model.tokenizer.sampling import draw_sample
from corpusmill.model.tokenizer.wordpiece import train_wordpiece
from corpusmill.model.training import job
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.feed import open_feed
from corpusmill.model.training.groups import BestFitPacking
from corpusmill.model.training.samples import Reading
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.blocks import Blocks
from corpusmill.storage.corpus import documents
from corpusmill.storage.corpus.documents import Document, document_id, read_documents
from corpusmill.storage.corpus.pairs import join_pair
from corpusmill.storage.examples import schema
from corpusmill.storage.shards.parts import assemble, write_part
from corpusmill.storage.shards.reading import TokenStream
from corpusmill.storage.shards.schema import documents_path, tokens_path
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion import parts
from corpusmill.tasks.ingestion.cleaning.languages import identify, language_of_script
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig, FileSource
from corpusmill.tasks.stages import evaluation, shards, tokenizer
from tests.corpora import build_of, counts_of, speeches
from tests.labelled import examples_of, kept_in, write_rows
from tests.networks import SHAPES, random_network

VOCAB_SIZE = 600

CHINESE = "老房子站在河边，窗户朝着山。雨下了三天三夜，孩子们在屋里读书，母亲在灯下缝衣服。"
VERSE = "".join(f"{CHINESE[i : i + 8]}。\n" for i in range(0, len(CHINESE), 4))
MARKED = "".join(
    f'| `--{n}` | the {n * 7} of -- and {{that}} | "Kernel 2.6.{n}.106 at 8.8.{n}.144."\n'
    for n in range(20)
)
ODD = ["  two  spaces\t12345 \r\n", "don't 🎈 e\u0301 \0", "中文English混排 Привет", "a" * 140_000]

# By stage: its format version, and the digest of what it makes.
GOLDEN = {
    "corpus": ((12, 12), "524e576fd47341a2"),
    "tokenizer": ({"bpe": 4, "wordpiece": 5, "unigram": 5}, "cbcef3e30a75eef8"),
    "shards": (4, "55971d316f7a792d"),
    "examples": (1, "ba3f938c5173619d"),
    "evaluation": (12, "d607378f3870bc7e"),
    "model": (7, "66f323a1d0463cd8"),
}


# How fields were called when the golden values were taken: a name in memory is in no artifact.
_NAMED = {"num_targets": "learned"}


def check(stage: str, version: object, where: str, made: object) -> None:
    """Compares what a stage made with what it made before."""
    text = json.dumps(made, sort_keys=True, ensure_ascii=False, default=_plain)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    before, golden = GOLDEN[stage]
    if digest != golden:
        assert version != before, (
            f"{stage}: other bytes of the same input; raise the format version of {stage} in "
            f"{where}, then update the golden value"
        )
    assert (version, digest) == GOLDEN[stage], (
        f"{stage}: update its golden value to {(version, digest)!r}"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    assert is_dataclass(value) and not isinstance(value, type), value
    return {_NAMED.get(name, name): getattr(value, name) for name in value.__dataclass_fields__}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of several formats, with what each cleaning step looks for."""
    folder = tmp_path_factory.mktemp("sources") / "text"
    folder.mkdir()
    texts = [speech[:3000] for speech in speeches()[::40]]
    (folder / "a.txt").write_text(texts[0] + "\n\nCall 212-555-0187 or a@b.org.\n" * 3)
    (folder / "b.txt").write_bytes((CHINESE * 3).encode("gb18030"))
    lines: list[dict[str, Any]] = [
        {"text": text} for text in [*texts, texts[1] + " Nearly so.", "\x07 e\u0301 lorem"]
    ]
    lines += [{"text": f"{CHINESE}{number}"} for number in range(9)] + [{"other": 1}]
    lines += [
        {"text": text} for text in (VERSE, MARKED, f"{CHINESE}隐私政策[1]。\nこれはほんです。")
    ]
    (folder / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "d.csv").write_text('text\n"one, ""two"""\nthree words here\n' * 2)
    (folder / "e.txt").write_bytes(("Az őszi szőlő és a tűz. " * 9).encode("cp1250"))
    (folder / "p.tsv").write_text("en\tzh\nThe house stands.\t房子站着。\nIt rained.\t下雨了。\n")
    return folder


def test_corpus(sources: Path, tmp_path: Path) -> None:
    cleaning = CleaningConfig(
        identify_languages=False, gopher_quality=True, gopher_repetition=True, mask_pii=True
    )
    plain = CleaningConfig(identify_languages=False, c4_quality=True, near_duplicates="keep")
    pairs = FileSource(files=str(sources / "p.tsv"), pair=("en", "zh"))
    made: list[Any] = [language_of_script(text) for text in (CHINESE, "Привет", "かな漢字", "abc")]
    made.append(identify(CHINESE))
    texts = str(sources / "[a-e].*")
    for options in (
        {"sources": (texts,), "cleaning": cleaning},
        {"sources": (texts,), "cleaning": plain, "text_unit": "paragraph"},
        {"sources": (texts, pairs), "cleaning": plain, "validation_fraction": 0.3},
    ):
        ref = build_of(tmp_path, CorpusConfig.model_validate(options))
        made += [_documents(ref), counts_of(ref)]
        made += [np.load(path) for path in sorted(ref.path.glob("*.bands.npy"))]
        made += [(ref.path / "figures.json").read_text(), (ref.path / "dropped.jsonl").read_text()]
    versions = (documents.FORMAT_VERSION, parts.FORMAT_VERSION)
    check("corpus", versions, "storage/corpus/documents.py and parts.py", made)


def _documents(corpus: Ref) -> list[Any]:
    return [asdict(each) for split in SPLITS for each in read_documents(corpus.path, split)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tokenizers by what is the same everywhere: `tokenizers`, without rustbpe and Unigram."""
    made = {}
    texts = list(learnable([*(speech[:3000] for speech in speeches()[::40]), CHINESE * 9]))
    for family in ("causal_lm", "masked_lm", "encoder_decoder"):
        made[family] = tmp_path_factory.mktemp(family)
        algorithm = "wordpiece" if family == "masked_lm" else "bpe"
        control = control_tokens(family, algorithm, infilling=family == "causal_lm")
        learn = train_wordpiece if family == "masked_lm" else train_by_tokenizers
        learned, roles = learn(texts, 600, control), roles_of(family, algorithm)
        frame(learned, family, roles)
        learned.save(str(made[family] / TOKENIZER))
        write_roles(made[family], roles)
    return made


def test_tokenizer(folders: dict[str, Path]) -> None:
    strata = [((name, "en"), f"{name}{n}", text) for n, text in enumerate(ODD) for name in "ab"]
    totals = {(name, "en"): 2 * sum(len(text.encode()) for text in ODD) for name in "ab"}
    made: list[Any] = [draw_sample(strata, totals, 100_000, 0.7), TokenizerConfig().model_dump()]
    for folder in folders.values():
        loaded = load_tokenizer(folder)
        ids = loaded.encode(CHINESE + speeches(1)[0][:2000]).ids
        made += [loaded.get_vocab(), ids, decode(loaded, ids, skip_special_tokens=False)]
        made += [path.read_text() for path in sorted(folder.iterdir()) if path.name != TOKENIZER]
    check("tokenizer", tokenizer.FORMAT_VERSIONS, "tasks/stages/tokenizer.py", made)


@pytest.fixture(scope="module")
def encoded(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ref]:
    """Shards of the same texts by each tokenizer."""
    made = {}
    texts = [*ODD, *(speech[:3000] for speech in speeches()[::40]), CHINESE * 9, ""]
    for family, folder in folders.items():
        encoder, directory = Encoder(folder), tmp_path_factory.mktemp("shards")
        ids, ends = encoder.encode(texts)
        # Every two of a translator are a pair.
        together = 2 if family == "encoder_decoder" else 1
        names = [f"{number // together:032}" for number in range(len(texts))]
        part = write_part(
            directory,
            0,
            ids,
            ends=ends,
            document_ids=names,
            sources=["ab"[number // together % 2] for number in range(len(texts))],
            languages=["en"] * len(texts),
            sizes=np.array([len(text.encode()) for text in texts]),
        )
        out = tmp_path_factory.mktemp("out")
        vocab_size = load_tokenizer(folder).get_vocab_size()
        for split in SPLITS:
            assemble(out, split, vocab_size, [part])
        made[family] = Ref("shards", family, out)
    return made


def test_shards(encoded: dict[str, Ref]) -> None:
    made: list[Any] = []
    for ref in encoded.values():
        stream = TokenStream(ref.path, "train")
        made.append(stream.read(0, len(stream)))
        for path in (tokens_path(ref.path, "train"), documents_path(ref.path, "train")):
            with pa.ipc.open_file(path) as file:
                made += [str(file.schema), file.num_record_batches]
        made.append(file.read_all().to_pylist())
    check("shards", shards.FORMAT_VERSION, "tasks/stages/shards.py", made)


def test_examples(tmp_path: Path) -> None:
    rows = [(f"{text} {number}", "ab"[number % 2]) for number in range(40) for text in ODD[1:3]]
    rows += [(f"{CHINESE}{mark}", "a") for mark in ("!", "？", "so")] + [("", "a"), (MARKED, "c")]
    train = write_rows(tmp_path / "x.jsonl", rows)
    files = {"train": train, "test": write_rows(tmp_path / "y.jsonl", rows[5:50:5])}
    made: list[Any] = []
    for fields in ({"train": train}, files, {**files, "limit": 9, "on_overlap": "drop_test"}):
        ref = examples_of(tmp_path, **fields)
        sides = kept_in(ref).values()
        for side in sides:
            made.append([side.ids, side.texts, side.pairs, side.labels])
        # Where the files lay changes no example.
        made.append({name: each for name, each in counts_of(ref).items() if name != "files"})
    check("examples", schema.FORMAT_VERSION, "storage/examples/schema.py", made)


READINGS: list[tuple[str, ModelConfig, Any, dict[str, Any]]] = [
    ("causal_lm", DecoderConfig(), NextToken(), {}),
    ("causal_lm", DecoderConfig(), NextToken(), {"packing": BestFitPacking()}),
    ("causal_lm", DecoderConfig(), FillInTheMiddle(), {}),
    ("masked_lm", BertConfig(), MaskedTokens(), {}),
    ("masked_lm", BertConfig(next_sentence=True), MaskedTokens(), {}),
    ("encoder_decoder", EncoderDecoderConfig(), SpanCorruption(), {}),
    ("encoder_decoder", EncoderDecoderConfig(), Translation(), {}),
]


def test_model(encoded: dict[str, Ref], folders: dict[str, Path], tmp_path: Path) -> None:
    made: list[Any] = []
    for family, network, objective, options in READINGS:
        training = TrainConfig(
            sequence_length=64, global_batch_size=8, objectives=(objective,), **options
        )
        reading = Reading(encoded[family].path, network, folders[family])
        feed = open_feed(reading, training, {})
        for step in (0, 5):
            drawn = feed.step(step)
            made += [drawn, feed.samples.read(drawn.numbers.ravel(), drawn.draws.ravel())]
    for name, shape in SHAPES.items():
        random = random_network(shape, VOCAB_SIZE)
        export_model(random, shape, folders[shape.family], 32, tmp_path / name)
        files = sorted((tmp_path / name).iterdir())
        made += [(each.name, each.read_text()) for each in files if each.suffix == ".json"]
        tensors = load_file(tmp_path / name / "model.safetensors")
        made.append({key: list(tensor.shape) for key, tensor in tensors.items()})
    check("model", job.FORMAT_VERSION, "model/training/job.py", made)


def test_evaluation(folders: dict[str, Path]) -> None:
    config = EvaluationConfig(batch_size=4, samples=2, prompt_characters=40, precision="fp32")
    texts = [_held_out(text) for text in [*ODD[:3], speeches(1)[0][:5000], CHINESE]]
    made: list[Any] = []
    for name in ("decoder", "bert", "transformer"):
        shape = SHAPES[name]
        folder, network = folders[shape.family], random_network(shape, VOCAB_SIZE).eval()
        loaded = Loaded(folder, network, load_tokenizer(folder), 16)
        if isinstance(network, CausalNetwork):
            scored = [score_causal(Writer(network, loaded.tokenizer, 16), texts, config)]
        elif isinstance(network, Bert):
            scored = [score_masked(loaded, network, texts, config)]
        else:
            assert isinstance(network, EncoderDecoder)
            sides = pairwise(text.text for text in texts[2:])
            pairs = [_held_out(join_pair(*pair)) for pair in sides]
            scored = [
                score_spans(loaded, network, texts, config),
                score_translation(loaded, network, pairs, config),
            ]
        made += [[_figures(result), _rows(blocks)] for result, blocks in scored]
    check("evaluation", evaluation.FORMAT_VERSION, "tasks/stages/evaluation.py", made)


def _held_out(text: str) -> Document:
    return Document(document_id(text.encode()), "ab"[len(text) % 2], "file", "und", text)


def _rows(blocks: Blocks) -> Any:
    """To three digits, as figures are."""
    statistics = [[f"{value:.3g}" for value in row] for row in blocks.statistics]
    told = [blocks.documents, blocks.sources, blocks.numbers, blocks.bytes, blocks.predictions]
    return [*told, statistics]


def _figures(result: EvaluationResult) -> Any:
    """To three digits: what other hardware adds up in another order differs in the seventh."""
    figures = {name: f"{value:.3g}" for name, value in result.figures.items()}
    prompts = [sample.prompt for sample in result.samples]
    told = result.model_dump(exclude={"figures", "samples", "seconds", "signature"})
    # The version of sacreBLEU is in the identity.
    return [told, result.signature.split("|version:")[0], figures, prompts]
