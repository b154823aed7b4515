"""Items of each kind of probe, and files of them."""

import json
from pathlib import Path
from typing import Any

from corpusmill.model.config import ProbeConfig, ProbeKind

ITEMS: dict[ProbeKind, list[dict[str, Any]]] = {
    "minimal_pairs": [
        {
            "sentence_good": f"the river stood {n}",
            "sentence_bad": f"the stood river {n}",
            "UID": "x",
        }
        for n in range(9)
    ],
    "last_word": [
        {"context": "the old rain  ", "continuation": "stood"},
        {"text": "老房子 rain the river stood"},
        {"text": "the river the old rain the river stood the old rain the river stood the rain"},
    ],
    "multiple_choice": [
        {"query": f"the river {n}:\n", "choices": ["the rain", "老房子", "e"], "gold": n % 3}
        for n in range(6)
    ]
    + [{"question": "the old", "choices": ["rain", "river"], "answer": 1}],
}


def write_probe(folder: Path, kind: ProbeKind, **fields: Any) -> ProbeConfig:
    path = folder / f"{kind}.jsonl"
    path.write_text("\n".join(map(json.dumps, ITEMS[kind])), encoding="utf-8")
    return ProbeConfig(name=kind, files=str(path), kind=kind, **fields)
