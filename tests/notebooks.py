"""docs/notebook.ipynb in a kernel of its own; `python -m tests.notebooks` refreshes its outputs."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "notebook.ipynb"


def run(home: Path, parameters: Mapping[str, object]) -> nbformat.NotebookNode:
    """The notebook with its outputs, its store in `home`, these variables set after its own.

    Raises:
        CellExecutionError: a cell raised.
    """
    notebook: nbformat.NotebookNode = nbformat.read(NOTEBOOK, as_version=4)
    (given,) = (each for each in notebook.cells if "parameters" in each.metadata.get("tags", ()))
    source = given.source
    given.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    folders = {"CORPUSMILL_HOME": home, "IPYTHONDIR": home, "JUPYTER_RUNTIME_DIR": home}
    with patch.dict(os.environ, {name: str(folder) for name, folder in folders.items()}):
        # Coalesced, of a bar what it showed last is kept.
        client = NotebookClient(notebook, timeout=300, kernel_name="python3", coalesce_streams=True)
        client.execute()
    given.source = source
    return notebook


def printed(notebook: nbformat.NotebookNode) -> str:
    """What its cells printed."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return "".join(each.text for each in outputs if each.output_type == "stream")


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        notebook = run(Path(home), {})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell was run
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
