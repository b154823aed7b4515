"""Datasets of the `datasets` library, each materialized as one local Arrow file."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpusmill.storage.errors import CorpusError, CorpusmillError
from corpusmill.storage.manifest import digest_json
from corpusmill.tasks.ingestion.config import DatasetSource

_ROWS = 1000
_SPLIT = "train"
_NOT_READ = {"name", "licence", "streaming", "pair", "held_out"}


def materialize(source: DatasetSource, fields: Sequence[str], downloads: Path) -> Path:
    """The file with the texts of a dataset, in its order; written now unless it is there.

    It holds the columns of `fields` alone (`outer.inner` is in the column `outer`), in record
    batches of 1,000 rows, and memory holds one of them. The same dataset, configuration, split and
    revision lead to the same file.

    Raises:
        CorpusError: no such dataset, configuration, split or column.
        CorpusmillError: the hub cannot be reached; a retry may help.
    """
    from datasets.exceptions import DatasetsError

    # A RuntimeError says that the dataset is a script, or that there is no such user's folder.
    try:
        return _materialize(source, fields, downloads)
    except ConnectionError as error:
        raise CorpusmillError(
            f"the dataset {source.dataset} cannot be reached ({error}); expected it on the "
            "Hugging Face hub; check the network, or give the absolute path of a local copy."
        ) from error
    except (DatasetsError, OSError, RuntimeError, TypeError, ValueError) as error:
        remedy = "correct corpus.sources"
        if _is_local(source):
            remedy += ', or name its files as {"files": …}, which are read each by itself'
        raise CorpusError(
            f"the dataset {source.dataset} cannot be loaded ({_reason(error)}); expected "
            f"configuration {source.config!r} and split {source.split or _SPLIT!r} of it; {remedy}."
        ) from error


def materialized_name(source: DatasetSource) -> str:
    """How the corpus calls the file: id, configuration and split."""
    base = Path(source.dataset).name if _is_local(source) else source.dataset.replace("/", "--")
    return "-".join(filter(None, (base, source.config, source.split or _SPLIT))) + ".arrow"


def _reason(error: BaseException) -> str:
    """The message of the first error in the chain: those that `datasets` adds say little."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0] or type(error).__name__


def _materialize(source: DatasetSource, fields: Sequence[str], downloads: Path) -> Path:
    data = _load_saved(source) if _is_local(source) else None
    revision = _builder(source).hash if data is None else data._fingerprint
    identity = source.model_dump(mode="json", exclude=_NOT_READ)
    final = downloads / digest_json([identity, *fields, revision]) / materialized_name(source)
    if not final.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            data = _load(source)
        _write(final, _texts(data, source, fields))
    return final


def _is_local(source: DatasetSource) -> bool:
    return source.dataset.startswith(("/", "~"))


def _load_saved(source: DatasetSource) -> Any:
    """The dataset that `save_to_disk` wrote there; None for a folder of other files."""
    import datasets

    folder = Path(source.dataset).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    if not any((folder / name).exists() for name in ("state.json", "dataset_dict.json")):
        return None
    data = datasets.load_from_disk(str(folder))
    parts = {str(data.split or _SPLIT): data} if isinstance(data, datasets.Dataset) else data
    configs = {part.info.config_name or "default" for part in parts.values()}
    if source.config and source.config not in configs:
        raise ValueError(f"its configuration is {', '.join(sorted(configs))}")
    if source.split is None and len(parts) == 1:
        return next(iter(parts.values()))
    return _chosen(parts, source.split or _SPLIT)


def _chosen(parts: Mapping[str, Any], split: str) -> Any:
    """The split of this name, or slices of splits as `load_dataset` understands them."""
    import datasets

    if split in parts:
        return parts[split]
    try:
        wanted = datasets.ReadInstruction.from_spec(split)
        slices = wanted.to_absolute({name: len(part) for name, part in parts.items()})
    except (AssertionError, ValueError) as error:
        raise ValueError(f"its splits are {', '.join(parts)}; {error}") from None
    return datasets.concatenate_datasets(
        [parts[each.splitname].select(range(each.from_, each.to)) for each in slices]
    )


def _builder(source: DatasetSource) -> Any:
    import datasets

    return datasets.load_dataset_builder(_path(source), source.config)


def _load(source: DatasetSource) -> Any:
    import datasets

    return datasets.load_dataset(
        _path(source), source.config, split=source.split or _SPLIT, streaming=source.streaming
    )


def _path(source: DatasetSource) -> str:
    return str(Path(source.dataset).expanduser()) if _is_local(source) else source.dataset


def _texts(data: Any, source: DatasetSource, fields: Sequence[str]) -> Iterator[pa.RecordBatch]:
    left = source.max_documents
    for table in data.with_format("arrow").iter(batch_size=_ROWS):
        there = table.column_names
        columns = [each if each in there else each.partition(".")[0] for each in fields]
        if missing := next((each for each in columns if each not in there), None):
            raise CorpusError(
                f"the dataset {source.dataset} has no column {missing!r}, only "
                f"{', '.join(there)}; set text_field to the one that holds the text, or pair to "
                "the two that do."
            )
        texts = table.select(list(dict.fromkeys(columns))).slice(0, left)
        yield from texts.combine_chunks().to_batches()
        if left is not None:
            left -= texts.num_rows
            if left == 0:
                return


def _write(final: Path, batches: Iterator[pa.RecordBatch]) -> None:
    first = next(batches, None)
    if first is None:
        raise CorpusError(
            f"the dataset {final.stem} is empty; expected at least one row; correct corpus.sources."
        )
    schema = pa.schema([(field.name, _wide(field.type)) for field in first.schema])
    with tempfile.TemporaryDirectory(dir=final.parent) as folder:
        partial = Path(folder) / final.name
        with partial.open("wb") as file:
            with pa.ipc.new_file(file, schema) as writer:
                for batch in chain([first], batches):
                    writer.write_batch(batch.cast(schema))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(final)


def _wide(kind: pa.DataType) -> pa.DataType:
    """One type for all strings, and for nulls, which strings may follow."""
    if pa.types.is_null(kind) or pa.types.is_string(kind):
        return pa.large_string()
    return kind
