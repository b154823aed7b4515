"""Every stage is tried again where that may help."""

import importlib
import pkgutil

from prefect import Task

from corpusmill import tasks
from corpusmill.tasks.retries import can_be_retried


def test_every_task_is_tried_again_unless_a_person_must_change_the_input() -> None:
    modules = pkgutil.walk_packages(tasks.__path__, "corpusmill.tasks.")
    found = {
        each.name: each
        for module in modules
        for each in vars(importlib.import_module(module.name)).values()
        if isinstance(each, Task)
    }
    assert len(found) > 10
    for name, each in found.items():
        assert each.retries, name
        assert each.retry_condition_fn is can_be_retried, name
