"""Deployments of continued pretraining, one a registered model, each with its schedule."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from corpusmill.storage.errors import StackError
from corpusmill.tasks.stack.prefect_api import PrefectApi

FLOW = "continue-pretraining"
# How a night ends that meets no error: the name of its state. It sleeps as long as its model has no
# champion, which is told to nobody.
Ending = Literal["Completed", "Sleeping", "Skipped", "Refused", "Quarantined"]
# What prefect.yaml deploys; the others are made after it.
SHIPPED = "nightly"
_DEFAULT_ZONE = "UTC"
# What Prefect takes in no name.
_UNNAMED = re.compile(r"[/%&><]")
_DAILY = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* \*")


@dataclass(frozen=True)
class Nightly:
    """A deployment of continued pretraining.

    Attributes:
        id: Prefect's.
        deployment: its name in Prefect, without the flow's.
        model: the registered model that it continues.
        when: its schedules in words; empty where it has none that is active.
        next: when Prefect has scheduled the next run (UTC); None where it has not.
    """

    id: str
    deployment: str
    model: str
    when: tuple[str, ...]
    next: datetime | None


def find_nightlies(api: PrefectApi) -> list[Nightly]:
    """All deployments of the flow, by name.

    Raises:
        StackError: the Prefect server does not answer.
    """
    return [_view(api, each) for each in _found(api)]


def set_nightly(api: PrefectApi, model: str, at: str, zone: str | None) -> Nightly:
    """Has a model continued every night at a time; adds its deployment if it has none.

    Args:
        at: hours and minutes, HH:MM.
        zone: a name of the IANA time zone database; by default the deployment's present one, UTC
            for a new one.

    Raises:
        StackError: the Prefect server does not do it, or has not the deployment of prefect.yaml.
    """
    deployments = _found(api)
    known = next((each for each in deployments if _model(each) == model), None)
    hours, minutes = map(int, at.split(":"))
    cron = {
        "cron": f"{minutes} {hours} * * *",
        "timezone": zone or (known and _zone(known)) or _DEFAULT_ZONE,
    }
    schedules = [{"schedule": cron, "active": True}]
    if known is None:
        made = _copy(deployments, model)
        known = api.request("POST", "/deployments/", {**made, "schedules": schedules})
    else:
        # A time that is asked for is one at which it is to run.
        change = {"schedules": schedules, "paused": False}
        api.request("PATCH", f"/deployments/{known['id']}", change)
    return _view(api, api.request("GET", f"/deployments/{known['id']}"))


def remove_nightly(api: PrefectApi, model: str) -> Nightly:
    """Takes a model's nights away: its deployment, or the schedule of the one of prefect.yaml.

    Returns:
        what it was.

    Raises:
        StackError: there is none, or the Prefect server does not do it.
    """
    deployments = _found(api)
    known = next((each for each in deployments if _model(each) == model), None)
    if known is None:
        models = ", ".join(map(_model, deployments)) or "none"
        raise StackError(
            f"No nightly deployment continues {model!r}, expected one of: {models}; "
            "`corpusmill nightly` lists them."
        )
    before = _view(api, known)
    if known["name"] == SHIPPED:
        # `make up` would deploy it again, but leaves its schedules as they were set.
        api.request("PATCH", f"/deployments/{known['id']}", {"schedules": []})
    else:
        api.request("DELETE", f"/deployments/{known['id']}")
    return before


def _found(api: PrefectApi) -> list[dict[str, Any]]:
    wanted = {"flows": {"name": {"any_": [FLOW]}}, "sort": "NAME_ASC"}
    # Those of an earlier release, which had no parameter for it, continue no model by name.
    return [each for each in api.pages("/deployments/filter", wanted) if _model(each)]


def _model(deployment: dict[str, Any]) -> str:
    schema = deployment["parameter_openapi_schema"] or {}
    default = schema.get("properties", {}).get("name", {}).get("default", "")
    return str(deployment["parameters"].get("name", default))


def _zone(deployment: dict[str, Any]) -> str | None:
    zones = (each["schedule"].get("timezone") for each in deployment["schedules"])
    return next((each for each in zones if each), None)


def _copy(deployments: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """As `POST /deployments/` takes it: the deployment of prefect.yaml, for another model."""
    shipped = next((each for each in deployments if each["name"] == SHIPPED), None)
    if shipped is None:
        raise StackError(
            f"The Prefect server has no deployment {FLOW}/{SHIPPED}, after which others are made; "
            "`make up` deploys it."
        )
    same = ("flow_id", "entrypoint", "path", "pull_steps", "version", "job_variables")
    more = ("parameter_openapi_schema", "enforce_parameter_schema", "work_pool_name")
    return {
        **{name: shipped[name] for name in (*same, *more, "work_queue_name")},
        "name": _name(model, {each["name"] for each in deployments}),
        "description": f"The newest documents into the champion of {model}, every night.",
        "parameters": {"name": model, "overrides": {}},
    }


def _name(model: str, taken: set[str]) -> str:
    """`nightly-MODEL`, or a slug with a digest where Prefect cannot hold that or has it already."""
    name = f"{SHIPPED}-{model}"
    if not _UNNAMED.search(name) and name not in taken:
        return name
    digest = hashlib.sha256(model.encode()).hexdigest()[:8]
    return f"{_UNNAMED.sub('-', name)}-{digest}"


def _view(api: PrefectApi, deployment: dict[str, Any]) -> Nightly:
    active = [] if deployment["paused"] else [x for x in deployment["schedules"] if x["active"]]
    if active:
        # Else Prefect's scheduler comes to it some seconds after a change.
        api.request("POST", f"/deployments/{deployment['id']}/schedule", {"max_runs": 1})
    wanted = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
    }
    scheduled = api.request("POST", "/flow_runs/filter", wanted)
    return Nightly(
        deployment["id"],
        deployment["name"],
        _model(deployment),
        tuple(_in_words(each["schedule"]) for each in active),
        datetime.fromisoformat(scheduled[0]["expected_start_time"]) if scheduled else None,
    )


def _in_words(schedule: dict[str, Any]) -> str:
    zone = schedule.get("timezone") or _DEFAULT_ZONE
    if "interval" in schedule:
        return f"every {schedule['interval']:.0f} s"
    rule = schedule.get("cron") or schedule["rrule"]
    daily = _DAILY.fullmatch(rule)
    return f"{int(daily[2]):02}:{int(daily[1]):02} {zone}" if daily else f"{rule} {zone}"
