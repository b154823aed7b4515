"""What decides a corpus beside sources and configuration: packages, and code of one's own."""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from corpusmill.storage.errors import ConfigError
from corpusmill.storage.extensions import digest_source
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.packages import installed
from corpusmill.tasks.ingestion.cleaning.languages import engine
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import SourceFile
from corpusmill.tasks.ingestion.readers.formats import DOCUMENTS

# The kinds of files that are, or may hold, pages of the web.
_WITH_PAGES = {"html", "warc", "tar", "zip"}
_WITH_DOCUMENTS = {*DOCUMENTS.values(), "tar", "zip"}


def engines_of(files: Iterable[SourceFile], config: CorpusConfig) -> dict[str, str]:
    """Packages and digests of one's own code that read and clean these files, by their task.

    numba and isal are left out: tests show that they are only faster and give the same bytes.
    """
    engines = {"unicode": unicodedata.unidata_version}
    if config.cleaning.identify_languages:
        engines["languages"] = engine()
    files = list(files)
    if any(file.encoding == "auto" for file in files):
        engines["encodings"] = f"chardet {installed('chardet')}"
    if any(file.format.kind in _WITH_PAGES for file in files):
        packages = sorted({"resiliparse", "fastwarc", config.html_extractor})
        engines["pages"] = ", ".join(f"{name} {installed(name)}" for name in packages)
    if any(file.format.kind in _WITH_DOCUMENTS for file in files):
        packages = ["lxml", "pypdfium2"]
        engines["documents"] = ", ".join(f"{name} {installed(name)}" for name in packages)
    return engines | {name: digest_source(name) for name in config.own_names}


def check_engines(parts: Iterable[Path], engines: Mapping[str, str]) -> None:
    """Raises ConfigError unless all parts, whatever machine made them, have the same engines."""
    for part in parts:
        for what, theirs in read_manifest(part)["config"]["engines"].items():
            if theirs != engines[what]:
                raise ConfigError(
                    f"One machine reads {what} by {theirs}, another by {engines[what]}; expected "
                    "the same packages on all machines that work on a corpus: install them alike."
                )
