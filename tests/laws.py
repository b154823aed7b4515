"""Three laws of reading, held over many random files.

`python -m tests.laws SEED FILES [FIRST]` prints the first file that breaks one.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from corpusmill.tasks.ingestion.batches import Flaw, Repaired
from tests.random_files import DOCUMENTS, KINDS, RandomFile, Told, random_file
from tests.readings import flaws_in, items_of, texts_in


def broken_law(file: RandomFile, folder: Path) -> str:
    """What is wrong with how the file is read; "" where the laws hold.

    They are: what is well formed comes back whole; what is not never comes back changed without
    being counted as such; in = kept + dropped in bytes.
    """
    path = folder / file.name
    path.write_bytes(file.data)
    items = items_of(path, encoding=file.encoding, text_unit="line")
    texts, flaws = texts_in(items), flaws_in(items)
    known, found = Counter(file.texts), Counter(texts)
    missing, extra = known - found, found - known
    what = f"{missing.total()} texts missing, {extra.total()} changed, flaws {flaws[:2]}"
    if file.told is Told.WHOLE and (texts != list(file.texts) or flaws):
        return f"a well-formed file did not come back whole: {what}"
    counted = flaws or any(isinstance(item, Repaired) for item in items)
    if file.told is Told.COUNTED and (missing or extra) and not counted:
        return f"nothing is counted: {what}"
    if file.told is Told.SHORTER and extra and not counted:
        return f"a changed text is not counted: {what}"
    return _broken_sum(file, texts, flaws, bool(missing) and not extra)


def _broken_sum(file: RandomFile, texts: list[str], flaws: list[Flaw], is_less: bool) -> str:
    """Of a plain file, bytes are compared with characters: no text has fewer of those."""
    kept, dropped = sum(map(len, texts)), sum(flaw.bytes or 0 for flaw in flaws)
    is_known = all(flaw.bytes is not None for flaw in flaws)
    size = _most_bytes(file.data)
    # Less than its texts had, where it is cut off.
    known = min(sum(map(len, file.texts)), len(file.data))
    sums = f"{kept} characters kept, {dropped} bytes dropped"
    if is_less and flaws and is_known and not dropped:
        return f"{sums}, though texts are missing: {flaws[:2]}"
    if file.is_plain and dropped > size:
        return f"{sums}, of {size} bytes: {flaws[:2]}"
    if file.is_plain and file.told is Told.COUNTED and is_known and kept + dropped < known:
        return f"{sums}, of {known} characters: {flaws[:2]}"
    return ""


def _most_bytes(data: bytes) -> int:
    """As many as these bytes may be in UTF-8, in which text is counted, whatever they are in."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return 3 * len(data)
    return len(data)


def first_broken(
    seed: int, numbers: Iterable[int], folder: Path, kinds: Sequence[str] = KINDS
) -> str | None:
    """The first of these files that breaks a law, in words; None where there is none."""
    for number in numbers:
        file = random_file(seed, number, kinds)
        if law := broken_law(file, folder):
            return (
                f"seed {seed}, file {number}, {file.name} {file.harm}: {law}\n"
                f"again: make laws SEED={seed} FIRST={number} FILES=1"
            )
    return None


def main(seed: int, files: int, first: int = 0) -> int:
    """Holds the laws over files `first` and following; 1 where one breaks them."""
    print(f"seed {seed}, files {first} to {first + files - 1}", flush=True)
    start = time.monotonic()
    numbers, kinds = range(first, first + files), (*KINDS, *DOCUMENTS)
    with tempfile.TemporaryDirectory() as folder:
        if broken := first_broken(seed, numbers, Path(folder), kinds):
            print(broken)
            return 1
    print(f"the three laws hold ({time.monotonic() - start:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
