"""Pruning takes what no version needs, and verification finds what is missing or damaged."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.model.training.job import moments_spec
from corpusmill.storage.artifacts import obtain
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.layout import Layout
from corpusmill.storage.versions import CANDIDATE, CHAMPION, DIGEST, PREVIOUS, RegisteredModel
from corpusmill.storage.writing import locked, temporary
from corpusmill.tasks.stages.needs import needs_of
from corpusmill.tasks.stages.progress import Hidden
from corpusmill.tasks.stages.pruning import LEFTOVERS, RUNS, PruningPlan, plan_pruning, prune
from corpusmill.tasks.stages.verification import NEEDED, VERSIONS, verify_store
from tests.stores import Line, artifacts_in, begin_line, make, make_older, make_run

ALIASES = (CANDIDATE, CHAMPION, PREVIOUS)


def _wrong(layout: Layout, versions: list[RegisteredModel]) -> dict[str, tuple[str, ...]]:
    checked = verify_store(layout, versions, lambda _: None, Hidden())
    return {each.kind: each.wrong for each in checked if each.wrong}


def _version(line: Line, *aliases: str, remembers: bool = True) -> RegisteredModel:
    _, tags = line.night(remembers=remembers)
    return RegisteredModel(line.name, str(line.nights), "a run", tags, frozenset(aliases))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def _paths(plan: PruningPlan, kind: str) -> set[Path]:
    return {each.path for each in plan.removals if each.kind == kind}


@st.composite
def _nights(draw: st.DrawFn) -> list[tuple[bool, frozenset[str]]]:
    """Of each night whether its version has a memory, as all after the first such have, and its
    aliases; no version at all where these are None."""
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    aliases = st.frozensets(st.sampled_from(ALIASES))
    return [(number >= before, draw(aliases)) for number in range(before + after)]


@settings(max_examples=15)
@given(st.lists(_nights(), max_size=2), st.data())
def test_whatever_was_registered_nothing_that_a_version_needs_goes_and_all_else_does(
    lines: list[list[tuple[bool, frozenset[str]]]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        layout, versions = Layout(Path(folder)), list[RegisteredModel]()
        for number, nights in enumerate(lines):
            line = begin_line(layout, f"line{number}")
            for remembers, aliases in nights:
                version = _version(line, *aliases, remembers=remembers)
                if data.draw(st.booleans(), "registered"):
                    versions.append(version)
        make_older(layout.root, days=8)
        assert not _wrong(layout, versions)
        needs = needs_of(layout, versions)
        prune(plan_pruning(layout, versions))
        assert not _wrong(layout, versions)
        assert artifacts_in(layout) == needs.required.keys() | needs.useful
        assert needs_of(layout, versions) == needs
        assert plan_pruning(layout, versions).removals == ()


def test_of_a_line_with_memories_the_text_itself_goes_and_models_in_use_stay(
    layout: Layout,
) -> None:
    line = begin_line(layout, "line")
    first, second = _version(line), _version(line, CHAMPION)
    make_older(layout.root, days=1)
    prune(plan_pruning(layout, [first, second]))
    left = [kind for kind, _ in artifacts_in(layout)]
    counts = {kind: left.count(kind) for kind in sorted(left)}
    assert counts == {
        "compression": 1,
        "contamination": 1,
        "evaluation": 1,
        "held_out": 2,
        "memory": 2,
        "model": 1,
        "shards": 2,
        "tokenizer": 1,
    }
    assert ("model", second.tags["model_digest"]) in artifacts_in(layout)


def test_what_a_champions_run_has_left_stays_without_the_model_that_lies_in_the_registry(
    layout: Layout,
) -> None:
    line = begin_line(layout, "line")
    models = [line.night() for _ in range(2)]
    versions = [
        RegisteredModel(line.name, str(number), "a run", tags, frozenset(aliases))
        for number, ((_, tags), aliases) in enumerate(zip(models, ((), (CHAMPION,)), strict=True))
    ]
    for model, _ in models:
        obtain(layout, moments_spec(model.digest), lambda _: None)
    shutil.rmtree(models[1][0].path)
    make_older(layout.root, days=8)
    prune(plan_pruning(layout, versions))
    left = {digest for kind, digest in artifacts_in(layout) if kind == "moments"}
    assert left == {moments_spec(models[1][0].digest).digest}


def test_of_a_line_without_memories_its_corpora_and_their_shards_stay(layout: Layout) -> None:
    line = begin_line(layout, "line")
    for _ in range(2):
        line.night(remembers=False)
    newest = _version(line, remembers=False)
    make(layout, "corpus", "of nobody")
    make(layout, "shards", "of nobody")
    make_older(layout.root, days=8)
    prune(plan_pruning(layout, [newest]))
    left = [kind for kind, _ in artifacts_in(layout)]
    assert {kind: left.count(kind) for kind in sorted(left)} == {
        "corpus": 3,
        "shards": 3,
        "tokenizer": 1,
    }


def test_a_plan_removes_nothing_and_says_how_much_it_would(layout: Layout) -> None:
    _version(begin_line(layout, "line"))
    make_older(layout.root, days=8)
    before = sorted(layout.root.rglob("*"))
    plan = plan_pruning(layout, [])
    assert sorted(layout.root.rglob("*")) == before
    files = sum(path.stat().st_size for path in before if path.is_file())
    assert sum(each.bytes for each in plan.removals) == files


def test_what_a_flow_at_work_may_use_stays(layout: Layout) -> None:
    line = begin_line(layout, "line")
    line.night()
    running, done = (make_run(layout, name, None) for name in ("running", "done"))
    make_older(layout.root, days=8)
    with locked(running.lock):
        plan = plan_pruning(layout, [])
        assert {each.path for each in plan.removals} == {done.path}
        assert "a flow is at work (runs/running/lock)" in plan.notes[0]
    with temporary(layout.artifacts("corpus")):
        assert {each.kind for each in plan_pruning(layout, []).removals} == {RUNS}
    with locked(layout.lock("night")):
        assert {each.kind for each in plan_pruning(layout, []).removals} == {RUNS}
    assert {"model", "corpus"} < {each.kind for each in plan_pruning(layout, []).removals}


def test_a_run_that_a_flow_takes_up_before_it_is_removed_stays(layout: Layout) -> None:
    run = make_run(layout, "taken up", None)
    make_older(layout.root, days=8)
    plan = plan_pruning(layout, [])
    with locked(run.lock):
        prune(plan)
    assert run.job.exists()


def test_runs_go_when_they_are_finished_or_given_up(layout: Layout) -> None:
    trained = make(layout, "model", "trained")
    finished, registered, unpublished, failed, stale = (
        make_run(layout, name, status).path
        for name, status in (
            (trained.digest, "finished"),
            ("registered", "finished"),
            ("unpublished", "finished"),
            ("failed", "failed"),
            ("stale", "interrupted"),
        )
    )
    make_older(stale, days=8)
    make_older(failed, days=6)
    versions = [RegisteredModel("line", "1", "a run", {DIGEST: "registered"})]
    assert _paths(plan_pruning(layout, versions), RUNS) == {finished, registered, stale}
    assert unpublished.exists()


def test_what_is_young_and_models_that_may_still_be_registered_stay(layout: Layout) -> None:
    model, _ = begin_line(layout, "line").night()
    assert plan_pruning(layout, []).removals == ()
    make_older(layout.root, days=2)
    assert not _paths(plan_pruning(layout, []), "model")
    make_older(layout.root, days=6)
    assert _paths(plan_pruning(layout, []), "model") == {model.path}


def test_what_crashes_and_damage_left_goes_after_a_day(layout: Layout) -> None:
    shards = layout.artifacts("shards")
    left = [shards / name for name in ("a.damaged-1", ".tmp-other-1", "without a manifest")]
    for path in left:
        path.mkdir(parents=True)
        (path / "content.bin").write_text("left")
    (lock := shards / ".tmp-other-1.lock").touch()
    assert plan_pruning(layout, []).removals == ()
    make_older(layout.root, days=2)
    plan = plan_pruning(layout, [])
    assert _paths(plan, LEFTOVERS) == {*left, lock}
    prune(plan)
    assert list(shards.iterdir()) == []


def test_a_file_with_two_names_is_free_when_the_second_goes(layout: Layout) -> None:
    model = make(layout, "model", "weights")
    run = make_run(layout, model.digest, "finished")
    (run.path / "linked").hardlink_to(model.path / "content.bin")
    make_older(layout.root, days=8)
    both = plan_pruning(layout, [])
    (run.path / "linked").unlink()
    (run.path / "linked").write_bytes((model.path / "content.bin").read_bytes())
    copied = sum(each.bytes for each in plan_pruning(layout, []).removals)
    assert copied - sum(each.bytes for each in both.removals) == len("model weights")


def test_where_a_memory_is_lost_all_that_it_may_name_stays(layout: Layout) -> None:
    line = begin_line(layout, "line")
    version = _version(line)
    _version(line)
    make_older(layout.root, days=8)
    shutil.rmtree(layout.artifact("memory", version.tags["memory"]))
    plan = plan_pruning(layout, [version])
    assert {"corpus", "model"} <= {each.kind for each in plan.removals}
    assert not {"memory", "shards", "held_out"} & {each.kind for each in plan.removals}
    assert "what models:/line/1 needs of them cannot be read" in plan.notes[0]


@pytest.mark.parametrize("kind", ["memory", "shards", "held_out"])
def test_what_a_version_needs_and_is_gone_is_named_with_it(layout: Layout, kind: str) -> None:
    version = _version(begin_line(layout, "line"))
    [gone] = layout.artifacts(kind).iterdir()
    shutil.rmtree(gone)
    [sentence] = _wrong(layout, [version])[NEEDED]
    assert sentence.startswith(f"{kind}/{gone.name} is not in {layout.root}, and models:/line/1")


def test_damage_is_named_by_the_file(layout: Layout) -> None:
    shards, corpus = (make(layout, kind, "sound") for kind in ("shards", "corpus"))
    (shards.path / "content.bin").write_text("other text")
    corpus.path.rename(other := corpus.path.with_name("0" * 32))
    wrong = _wrong(layout, [])
    assert str(shards.path / "content.bin") in wrong["shards"][0]
    assert wrong["corpus"][0].startswith(f"{other} says that it is {corpus.digest}")


def test_versions_whose_files_are_lost_are_named_and_those_of_other_tools_are_not_asked_for(
    layout: Layout,
) -> None:
    ours = _version(begin_line(layout, "line"))
    theirs = RegisteredModel("theirs", "1", "a run", {})

    def check(version: RegisteredModel) -> None:
        raise ArtifactError(f"{version.uri} is lost")

    checked = verify_store(layout, [ours, theirs], check, Hidden())
    assert [each.wrong for each in checked if each.kind == VERSIONS] == [
        ("models:/line/1 is lost",)
    ]
