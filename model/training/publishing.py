"""What a run leaves: its model, in the Hugging Face format, and what the next run goes on with."""

import shutil
from contextlib import nullcontext
from pathlib import Path

from corpusmill.model.hf.folder import export_model
from corpusmill.model.network.base import LanguageModel, Network
from corpusmill.model.tasks.calibration import calibrated
from corpusmill.model.tasks.folder import export_labeller
from corpusmill.model.tasks.network import Labeller
from corpusmill.model.training.averaging import LineMean
from corpusmill.model.training.checkpoint import load_weights
from corpusmill.model.training.job import moments_spec
from corpusmill.model.training.moments import moments_of, write_moments
from corpusmill.model.training.parallel import whole_network
from corpusmill.model.training.run import Run
from corpusmill.model.training.schedule import sequence_length
from corpusmill.storage.artifacts import publish, set_aside
from corpusmill.storage.manifest import MANIFEST


def publish_model(run: Run) -> None:
    """Publishes the model: of the best validation where the run looks for it, else the last.

    Every process must ask for the last one. The best one is read by the main process alone.

    Raises:
        ArtifactError: the checkpoint of the best validation is damaged.
        ModelError: a weight is not finite.
    """
    # Nobody goes on from a network that has learned a task.
    moments = {} if run.job.method else moments_of(run.network, run.optimizers)
    ahead = run.average.ahead(run.network) if isinstance(run.average, LineMean) else {}
    if run.journal and moments:
        if run.layout.moments.exists():
            shutil.rmtree(run.layout.moments)
        spec = moments_spec(run.spec.digest)
        publish(
            run.layout.moments, spec, lambda directory: write_moments(directory, moments, ahead)
        )
    if run.config.validation.early_stopping is None:
        with run.average.applied() if run.average else nullcontext():
            network = whole_network(run.network)
            if run.journal:
                _publish(run, network, run.progress.step)
    elif run.journal:
        _publish(run, _best(run), run.progress.best_step)


def _best(run: Run) -> Network:
    """The network as it was validated best."""
    network = run.network
    best = network.blank()
    step, averaged = run.progress.best_step, run.average is not None
    load_weights(run.layout.checkpoints, step, best, averaged=averaged)
    return best


def _publish(run: Run, network: Network, steps: int) -> None:
    if (run.layout.model / MANIFEST).exists():
        set_aside(run.layout.model)
    read = min(run.feed.samples.longest, sequence_length(steps - 1, run.config))
    length = max(run.known_length, read)
    if isinstance(network, Labeller):
        network.head = calibrated(network, run.validation)
    publish(
        run.layout.model,
        run.spec,
        lambda directory: _export(network, run.job.tokenizer, length, directory),
    )


def _export(network: Network, tokenizer: Path, length: int, directory: Path) -> None:
    if isinstance(network, Labeller):
        export_labeller(network, tokenizer, length, directory)
        return
    assert isinstance(network, LanguageModel)
    export_model(network, network.config, tokenizer, length, directory)
