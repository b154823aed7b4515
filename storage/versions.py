"""One version of a registered model, and the names of the tags and aliases that it has.

`candidate` is the version registered last, `champion` the one in use, `previous` the champion
before it, to which one can go back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from corpusmill.storage.errors import ConfigError

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
DIGEST = "model_digest"
CONTENT = "model_content"
MEMORY = "memory"
CORPUS = "corpus"
# Of a model that answers with labels: the labelled examples, and what it began with, in words.
EXAMPLES = "examples"
STARTED_FROM = "started_from"
CONTINUED_FROM = "continued_from"
# The run that judged a version last, which need not be the one that made it.
RUN = "run_id"
REPLACED = "replaced_version"


@dataclass(frozen=True)
class RegisteredModel:
    """One version in the registry.

    Attributes:
        aliases: as `versions` has found them; empty elsewhere.
        created: when it was registered.
    """

    name: str
    version: str
    run_id: str
    tags: Mapping[str, str]
    aliases: frozenset[str] = field(default=frozenset(), compare=False)
    created: datetime | None = field(default=None, compare=False)

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"

    @property
    def digest(self) -> str:
        """Identity of the model.

        Raises:
            ConfigError: another tool registered this version.
        """
        return self.tag(DIGEST)

    @property
    def content(self) -> str | None:
        """Digest of its bytes, which training again may make other ones; None of old versions."""
        return self.tags.get(CONTENT)

    def tag(self, key: str) -> str:
        """A tag that every version has from `register`.

        Raises:
            ConfigError: it is not there, so another tool registered this version.
        """
        if key not in self.tags:
            raise ConfigError(
                f"{self.uri} has no tag {key!r}, so it is not one that corpusmill registered; give "
                "its alias to one that is, on the model's page in MLflow, or name another model."
            )
        return self.tags[key]


def check_language_model(version: RegisteredModel) -> None:
    """Raises ConfigError if a version answers with labels, and so neither reads on nor writes."""
    if EXAMPLES in version.tags:
        raise ConfigError(
            f"{version.uri} answers with labels; expected a language model, such as "
            f"{version.tags.get(STARTED_FROM)}, that it started from: ask this one with "
            "`corpusmill predict`."
        )


def check_labeller(version: RegisteredModel) -> None:
    """Raises ConfigError if a version answers with text, not with labels."""
    version.digest  # noqa: B018 - which it has if it is ours
    if EXAMPLES not in version.tags:
        raise ConfigError(
            f"{version.uri} is a language model; expected one that answers with labels: "
            f"`prefect deployment run finetune/classify --param start={version.uri}` makes one of "
            "it."
        )


@dataclass(frozen=True)
class RunRecord:
    """How a version was made, as its run in MLflow says.

    Attributes:
        config: as the run was begun with, and its recipe.
        inputs: digests of the artifacts that it was made of, by name.
        config_digest: of the config, where it is still understood.
    """

    id: str
    name: str
    started: datetime
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    config_digest: str | None = None
