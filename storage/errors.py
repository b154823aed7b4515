"""Every error of corpusmill, drawn as a tree.

CorpusmillError
├── InputError              what a person can mend; never retried
│   ├── ConfigError         a field of a recipe or an override
│   ├── CorpusError         a source file, its encoding or its contents
│   ├── ModelError          a model directory or tensors that do not fit
│   └── StackError          a port, a disk or a server on this machine
├── ServerError             a server that does not answer; may be retried
├── ArtifactError           an artifact that is missing, or whose bytes changed
└── ProcessError            a training or evaluation process that ended badly; may be retried

A message is one sentence: what was found, what was expected, and the remedy.
"""


class CorpusmillError(Exception):
    """Base of all errors raised on purpose."""


class InputError(CorpusmillError):
    """The input must change before a retry can help."""


class ConfigError(InputError):
    """A configuration value that cannot work."""


class CorpusError(InputError):
    """A source of text that cannot be read as it is."""


class ModelError(InputError):
    """A model directory that does not hold what its family needs."""


class StackError(InputError):
    """The local servers cannot run as asked."""


class ServerError(CorpusmillError):
    """A server does not answer, or not as it should."""


class ArtifactError(CorpusmillError):
    """An artifact is absent, incomplete or does not match its manifest."""


class ProcessError(CorpusmillError):
    """A supervised process ended without a result."""
