"""Which store and which servers a command of this shell means."""

from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.tasks.stack import control


def here() -> tuple[Settings, Layout]:
    """The settings that the shell gives, and the store of its home."""
    settings = load_settings()
    return settings, Layout(settings.home)


def tracked(settings: Settings, layout: Layout) -> Settings:
    """The stack of this home, or the MLflow server that the shell names in its place."""
    named = settings.mlflow_url != f"http://127.0.0.1:{settings.mlflow_port}"
    if named and not control.runs(layout):
        return settings
    return control.in_effect(settings, layout)
