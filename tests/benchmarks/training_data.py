"""Makes the files that the training benchmarks read from a text, a token a character.

`python training_data.py TEXT DATA_DIR START` writes train.bin and val.bin, token ids as uint16
(tokens,), and meta.json with the size of the vocabulary. START is the fraction of the text at which
its held-out tenth starts: 0.0 holds out the first tenth, 0.9 the last. The rest is joined.
"""

import json
import sys
from pathlib import Path

import numpy as np

_MOST_IDS = 1 << 16


def make_data(text: Path, folder: Path, start: float) -> dict[str, int]:
    """Writes the three files into `folder`; returns what is in meta.json.

    Ids follow the order of the characters, and those of the held-out tenth have ids too, so that
    every split of a text has one vocabulary.
    """
    if not 0 <= start <= 0.9:
        raise ValueError(f"START is {start}; expected 0.0 to 0.9, where a tenth can start")
    points = np.frombuffer(text.read_text(encoding="utf-8").encode("utf-32-le"), np.uint32)
    characters, ids = np.unique(points, return_inverse=True)
    if not 2 <= len(characters) <= _MOST_IDS:
        raise ValueError(f"{text} has {len(characters)} characters; expected 2 to {_MOST_IDS:,}")
    ids = ids.astype(np.uint16)
    first, last = (int(len(ids) * part) for part in (start, start + 0.1))
    folder.mkdir(parents=True, exist_ok=True)
    np.concatenate([ids[:first], ids[last:]]).tofile(folder / "train.bin")
    ids[first:last].tofile(folder / "val.bin")
    meta = {"vocab_size": len(characters)}
    (folder / "meta.json").write_text(json.dumps(meta) + "\n", encoding="utf-8")
    return meta


if __name__ == "__main__":
    print(json.dumps(make_data(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))))
