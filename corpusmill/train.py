"""Training started by hand, in any folder: `accelerate launch --module corpusmill.train job.json`.

`--module` looks in the current folder first, and one with a model.py (nanoGPT's, say) hides our
package of that name. No folder is likely to have a `corpusmill` of its own.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    ours = Path(__file__).resolve().parent.parent
    if not sys.flags.safe_path and Path(sys.path[0]).resolve() != ours:
        del sys.path[0]  # as `python -P` has it
    runpy.run_module("model.train", run_name="__main__", alter_sys=True)
