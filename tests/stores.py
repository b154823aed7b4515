"""Stores with lines of models as small as can be."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from corpusmill.storage.artifacts import Ref, Spec, content_digest, obtain
from corpusmill.storage.layout import Layout, RunLayout
from corpusmill.storage.memory import Segment, read_segments, write_segments


@dataclass
class Line:
    """Models of which each goes on from the one before it.

    Attributes:
        tokenizer: of all of them.
        corpora: of those without a memory, the last one at the end.
    """

    layout: Layout
    name: str
    tokenizer: Ref
    memory: Ref | None = None
    corpora: list[Ref] = field(default_factory=list)
    nights: int = 0

    def night(self, *, remembers: bool = True) -> tuple[Ref, dict[str, str]]:
        """All that a night makes: its model, and the tags that its version has."""
        self.nights += 1
        make, text = self._make, content_digest(self.tokenizer)
        seen = {"seen": self.corpora[-1].digest} if self.corpora and not self.memory else {}
        corpus = make("corpus", seen)
        make("part", {"corpus": corpus.digest})
        shards = make("shards", {"corpus": corpus.digest, "tokenizer": text})
        held_out = make("held_out", {"corpus": corpus.digest}) if remembers else corpus
        model = make("model", {"shards": content_digest(shards), "tokenizer": text})
        judged = {"model": content_digest(model), "corpus": held_out.digest}
        make("evaluation", judged)
        make("compression", {"corpus": held_out.digest})
        make("contamination", {"trained_on": corpus.digest, "held_out": held_out.digest})
        tags = {"model_digest": model.digest, "model_content": content_digest(model)}
        tags |= {"corpus": corpus.digest, "held_out": held_out.digest}
        self.corpora.append(corpus)
        if remembers:
            here = Segment(f"{self.nights:06d}", corpus.digest, shards.digest, held_out.digest, 1)
            self.memory = self._remember(here)
            tags["memory"] = self.memory.digest
        return model, tags

    def _remember(self, here: Segment) -> Ref:
        segments = [*(read_segments(self.memory.path) if self.memory else ()), here]
        spec = Spec("memory", 1, {"shards": here.shards, "before": str(len(segments))})
        ref, _ = obtain(self.layout, spec, lambda folder: write_segments(folder, segments))
        return ref

    def _make(self, kind: str, inputs: Mapping[str, str]) -> Ref:
        return make(self.layout, kind, f"{self.name} {self.nights}", inputs)


def make(layout: Layout, kind: str, text: str, inputs: Mapping[str, str] | None = None) -> Ref:
    """An artifact of one file."""
    spec = Spec(kind, 1, inputs or {}, {"text": text})
    ref, _ = obtain(layout, spec, lambda folder: _write(folder / "content.bin", f"{kind} {text}"))
    return ref


def begin_line(layout: Layout, name: str) -> Line:
    """A line without models."""
    return Line(layout, name, make(layout, "tokenizer", name))


def make_run(layout: Layout, digest: str, status: str | None) -> RunLayout:
    """A training run that ended so, or has not ended."""
    run = RunLayout(layout.run(digest))
    run.checkpoints.mkdir(parents=True)
    _write(run.job, "{}")
    _write(run.lock, "")
    if status:
        _write(run.result, f'{{"status": "{status}"}}')
    return run


def artifacts_in(layout: Layout) -> set[tuple[str, str]]:
    """Kind and digest of all artifacts."""
    manifests = layout.root.glob("artifacts/*/*/manifest.json")
    return {(path.parent.parent.name, path.parent.name) for path in manifests}


def make_older(path: Path, days: float) -> None:
    """Sets back the times of a file, or of a folder and all in it."""
    for each in [path, *path.rglob("*")]:
        seconds = each.stat().st_mtime - days * 24 * 3600
        os.utime(each, (seconds, seconds))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
