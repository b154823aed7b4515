"""Names of registered models: what MLflow can hold and lead to, and what it cannot."""

import pytest
from click.testing import CliRunner

from corpusmill.flows.command_line import main
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.names import registrable
from corpusmill.storage.settings import load_settings


@pytest.mark.parametrize(
    "name", ["bob's model", "both ' and \"", "中文模型", "a..b", ".hidden", "50% & more", "x" * 256]
)
def test_a_name_that_mlflow_holds_is_taken_as_it_is(name: str) -> None:
    assert registrable(name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ", "..", "../up", ".", " a", "a\n", "a\nb", "a\tb", "a\u2028b", "\ud800", "x" * 300]
    + [f"a{sign}b" for sign in "/:@?#"],
)
def test_a_name_that_mlflow_or_its_addresses_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 256 characters in one line") as refusal:
        registrable(name)
    assert "\n" not in str(refusal.value)


def test_a_name_on_the_command_line_is_refused_in_a_sentence() -> None:
    done = CliRunner().invoke(main, ["sample", "Once", "--model", "../up"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: name: '../up', of 5 characters, cannot name a registered")


@pytest.mark.parametrize("name", ["x" * 501, "\udcff"])
def test_an_experiment_that_mlflow_cannot_hold_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    with pytest.raises(ConfigError, match="expected up to 500 characters in UTF-8"):
        load_settings()
