"""The part of `verdicts` that runs in the environment of datatrove: `PATH` of a .jsonl file.

Prints JSON: `seconds`, without reading, and `verdicts`, the reason of each document or `kept`.
"""

import importlib.metadata  # noqa: F401  (datatrove 0.10 uses it without importing it)
import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import (
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.text import split_into_words


def main(path: Path) -> dict[str, object]:
    with path.open(encoding="utf-8") as lines:
        documents = [Document(text=json.loads(line)["text"], id="") for line in lines]
    filters = (GopherQualityFilter(), GopherRepetitionFilter(), FineWebQualityFilter())
    split_into_words("Loads the tokenizer.", "eng")
    begin = time.perf_counter()
    verdicts = []
    for document in documents:
        verdict = "kept"
        for each in filters:
            result = each.filter(document)
            if result is not True:
                verdict = result[1]
                break
        verdicts.append(verdict)
    return {"seconds": time.perf_counter() - begin, "verdicts": verdicts}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
