"""Lines of memories without models: text is met night after night, and nothing is trained."""

from dataclasses import dataclass, field
from pathlib import Path

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.layout import Layout
from corpusmill.tasks.ingestion.building import build_corpus, plan_corpus
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.parts import make_part
from corpusmill.tasks.ingestion.past import KeptOut, Past
from corpusmill.tasks.stages.held_out import keep_held_out
from corpusmill.tasks.stages.memory import remember


@dataclass
class Line:
    """What a config leads to, night after night.

    Attributes:
        memory: None before the first corpus.
        kept_out: what no night may learn from.
        corpora: of all nights, the first one's included.
        held_out: the text held out of each.
    """

    layout: Layout
    config: CorpusConfig
    memory: Ref | None = None
    kept_out: KeptOut = field(default_factory=KeptOut)
    corpora: list[Ref] = field(default_factory=list)
    held_out: list[Ref] = field(default_factory=list)

    def find(self) -> Ref | None:
        """The corpus of what is new; None where no file is."""
        past = Past(self.memory, self.kept_out) if self.memory else None
        plan = plan_corpus(self.layout, self.config, past)
        if not plan.sources:
            return None
        parts = [make_part(self.layout, each, self.config) for each in plan.partitions]
        return plan.corpus or build_corpus(self.layout, plan.sources, self.config, parts, past)

    def night(self) -> Ref | None:
        """The corpus of what is new, which is met from now on; None where no file is."""
        past = Past(self.memory, self.kept_out) if self.memory else None
        sources = plan_corpus(self.layout, self.config, past).sources
        if not sources:
            return None
        corpus = self.find()
        assert corpus
        held_out = keep_held_out(self.layout, corpus)
        self.corpora.append(corpus)
        self.held_out.append(held_out)
        self.memory = remember(
            self.layout,
            self.memory,
            corpus,
            sources,
            shards=Ref("shards", f"{len(self.corpora):032x}", corpus.path),
            held_out=held_out,
        )
        return corpus


def begin(root: Path, config: CorpusConfig) -> Line:
    """A line that has met its first corpus."""
    line = Line(Layout(root), config)
    line.night()
    return line
