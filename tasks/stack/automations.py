"""Automations that tell of nights that failed, taught nothing, or hang, and the block they tell by.

Without a block a firing is an event in the page's feed, which needs nothing from outside. With one
called `corpusmill-nights` (any of Prefect's notification blocks: a webhook, Slack, SendGrid's
e-mail, …) it is sent there too. What a person changed of an automation in the page stays.
"""

from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import urlsplit

from corpusmill.storage.addresses import shown
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.stack.nightlies import FLOW, Ending
from corpusmill.tasks.stack.prefect_api import PrefectApi

BLOCK = "corpusmill-nights"
HUNG_HOURS = 6
# An event that met a locked database comes once more; within this time that fires nothing.
_ONCE_SECONDS = 60
_WEBHOOK = "custom-webhook"
_SILENT = {"type": "do-nothing"}
# Names of states, which Prefect makes the names of its events.
_FAILED = ("Failed", "Crashed", "TimedOut")
_TAUGHT_NOTHING: tuple[Ending, ...] = ("Skipped", "Refused", "Quarantined")
_SETTABLE = ("name", "description", "enabled", "trigger", "actions", "actions_on_trigger")
# A run started by hand may be given no name: then the flow's default, which the state tells.
_MODEL = "{{ flow_run.parameters['name'] or 'the default model' }}"
_BODY = "{{ flow_run.state.message }}\n{{ flow_run|ui_url }}"


def ensure_automations(api: PrefectApi) -> None:
    """Makes those that are missing; those that tell nobody tell by the block once it is there.

    Raises:
        StackError: the Prefect server does not do it.
    """
    known = {each["name"]: each for each in api.pages("/automations/filter", {})}
    block = _block(api)
    for wanted in _automations():
        found = known.get(wanted["name"])
        actions = [_action(wanted["name"], block)]
        if found is None:
            api.request("POST", "/automations/", {**wanted, "actions": actions})
        elif block and [each["type"] for each in found["actions"]] == [_SILENT["type"]]:
            same = {name: found[name] for name in (*_SETTABLE, "actions_on_resolve", "tags")}
            api.request("PUT", f"/automations/{found['id']}", {**same, "actions": actions})


def tell(api: PrefectApi, address: str) -> None:
    """Has nights told to a webhook: a POST of JSON with one field, `text`.

    Raises:
        ConfigError: no address of a webhook, or the block is one of another type.
        StackError: the Prefect server does not do it.
    """
    _check(address)
    kind = api.request("GET", f"/block_types/slug/{_WEBHOOK}")
    data = {
        "name": BLOCK,
        "url": address,
        "method": "POST",
        "json_data": {"text": "{{subject}}\n{{body}}"},
    }
    block = _block(api)
    if block is None:
        of_kind = {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}}
        schema = api.request("POST", "/block_schemas/filter", of_kind)[0]["id"]
        ids = {"block_type_id": kind["id"], "block_schema_id": schema}
        api.request("POST", "/block_documents/", {"name": BLOCK, "data": data, **ids})
    elif block["block_type_id"] == kind["id"]:
        change = {"data": data, "merge_existing_data": False}
        api.request("PATCH", f"/block_documents/{block['id']}", change)
    else:
        raise ConfigError(
            f"The block {BLOCK} is of the type {block['block_type']['name']!r}, expected "
            "'Custom Webhook': change its address in the page, or delete it there and run this "
            "again."
        )
    ensure_automations(api)


def told(api: PrefectApi) -> str | None:
    """Whom the block tells, fit to be shown; None where there is none."""
    block = _block(api)
    if block is None:
        return None
    url = block["data"].get("url") if block["block_type"]["slug"] == _WEBHOOK else None
    return shown(url) if url else f"the {block['block_type']['name']} block {BLOCK}"


def _check(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "mailto":
        raise ConfigError(
            f"--tell is {address!r}, expected an address of a webhook: for e-mail make a block of "
            f"the type 'Sendgrid Email' called {BLOCK} in the page under Blocks, then `make up`."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"--tell is {shown(address)!r}, expected an address of a webhook, such as "
            "https://hooks.example.com/nights."
        )


def _block(api: PrefectApi) -> dict[str, Any] | None:
    wanted = {"block_documents": {"name": {"any_": [BLOCK]}}, "include_secrets": True}
    found: list[dict[str, Any]] = api.request("POST", "/block_documents/filter", wanted)
    return found[0] if found else None


def _action(automation: str, block: Mapping[str, Any] | None) -> dict[str, Any]:
    if block is None:
        return dict(_SILENT)
    hung = f"still runs after {HUNG_HOURS} hours" if automation.endswith("hung") else ""
    return {
        "type": "send-notification",
        "block_document_id": block["id"],
        "subject": f"The night of {_MODEL} {hung or 'ended {{ flow_run.state.name }}'}",
        "body": _BODY,
    }


def _automations() -> list[dict[str, Any]]:
    """As `POST /automations/` takes them, but for what they do."""
    at_once = {"posture": "Reactive", "threshold": 1, "within": _ONCE_SECONDS}
    ended = ("Cancelled", *_FAILED, *get_args(Ending))
    late = {"posture": "Proactive", "threshold": 1, "within": HUNG_HOURS * 3600}
    return [
        _automation(
            "corpusmill-nights-failed",
            "A night ended with an error, or its process did.",
            {**at_once, "expect": _events(_FAILED)},
        ),
        _automation(
            "corpusmill-nights-skipped",
            "A night ended without a new champion: nothing was learned, or it was not kept.",
            {**at_once, "expect": _events(_TAUGHT_NOTHING)},
        ),
        _automation(
            "corpusmill-nights-hung",
            f"A night still runs {HUNG_HOURS} hours after it began.",
            {**late, "after": _events(("Running",)), "expect": _events(ended)},
        ),
    ]


def _automation(name: str, description: str, trigger: Mapping[str, Any]) -> dict[str, Any]:
    of_the_flow = {"prefect.resource.role": "flow", "prefect.resource.name": FLOW}
    every_run = {
        "type": "event",
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": of_the_flow,
        "for_each": ["prefect.resource.id"],
    }
    whole = {**every_run, **trigger}
    return {"name": name, "description": description, "enabled": True, "trigger": whole}


def _events(states: tuple[str, ...]) -> list[str]:
    return [f"prefect.flow-run.{state}" for state in states]
