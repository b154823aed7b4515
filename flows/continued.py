"""The flow `continue-pretraining`: a registered champion goes on learning from what is new."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State

from corpusmill.flows.config import RegistrationConfig, on_this_machine
from corpusmill.flows.inheritance import inherit, kept_by_line
from corpusmill.flows.night import Tonight, ended, learn, look
from corpusmill.flows.run_names import NIGHTLY, name_night
from corpusmill.storage.config import parse
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_json
from corpusmill.storage.settings import Settings
from corpusmill.storage.writing import lock_or_leave
from corpusmill.tasks.corpus import find_sources
from corpusmill.tasks.ingestion.past import Past
from corpusmill.tasks.nights import note_rollback, recall_memory
from corpusmill.tasks.registration import find_champion
from corpusmill.tasks.stages.past import kept_out_by
from corpusmill.tasks.tracking import begin_flow, tracked_run


@flow(name="continue-pretraining", flow_run_name=name_night)
def continue_pretraining(
    name: str = "gpt-tiny",
    overrides: dict[str, Any] | None = None,
    allow: list[str] | None = None,
) -> State[None]:
    """Trains the champion on what it has not met, and promotes the result if it is better.

    Args:
        name: of the registered model; everything else is as its champion was trained.
        overrides: dotted fields that are to be different, such as {"night.max_seconds": 3600}.
        allow: fields that may be different although then nothing can be compared with before.
    """
    name = parse(RegistrationConfig, {"name": name}).name
    settings = begin_flow()
    layout = Layout(settings.home)
    # A lock of the process: it goes when that ends, however that ends.
    with lock_or_leave(layout.lock(digest_json(["night", name]))) as alone:
        if not alone:
            return ended("Skipped", f"Another night of {name} is at work.")
        return _night(settings, layout, name, overrides or {}, allow or [])


def _night(
    settings: Settings,
    layout: Layout,
    name: str,
    overrides: dict[str, Any],
    allow: list[str],
) -> State[None]:
    found = find_champion(settings, name)
    if found is None:
        return ended("Sleeping", f"{name} has no champion yet; the night sleeps until it has one.")
    champion, recorded = found
    config, changed = inherit(recorded, name, overrides, allow)
    for field, (now, before) in changed.items():
        get_run_logger().info("%s is %r, not %r", field, now, before)
    memory = recall_memory(layout, champion)
    decisions = note_rollback(settings, layout, champion)
    past = Past(memory, kept_out_by(decisions))
    plan = find_sources(layout, config.corpus, past)
    if not plan.sources:
        return ended("Skipped", "Nothing is new.")
    config = on_this_machine(config)
    tonight = look(settings, layout, config, champion, past=past, plan=plan, decisions=decisions)
    if not isinstance(tonight, Tonight):
        return tonight
    with tracked_run(settings, name, NIGHTLY, config, kept_by_line(recorded)) as context:
        return learn(context, config, tonight)
