"""The loops of litgpt and of transformers' example, a process each; run by `training_peers.py`.

`python training_peer_loops.py PEER RUN` trains once and prints a line for each logged step; RUN is
the JSON of a `Run`, as `training_peers.py` writes it.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np


@dataclass(frozen=True)
class Run:
    """One training: the network, its batch of `batch` rows of `context` tokens, and its setting.

    Attributes:
        rate: of learning, at its greatest, after `warmup` steps.
        log_every: steps from one line to the next.
        data: folder of train.bin and val.bin.
        out: folder for the checkpoint.
        precision: in the peer's own word; None for its default.
    """

    shape: str
    layers: int
    heads: int
    width: int
    context: int
    batch: int
    vocab_size: int
    rate: float
    beta2: float
    weight_decay: float
    warmup: int
    steps: int
    log_every: int
    seed: int
    data: str
    out: str
    precision: str | None


class Windows:
    """What litgpt asks of its data: batches (rows, context + 1) of windows that do not overlap."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def connect(self, **_: object) -> None:
        """Is told the shape, which is known already."""

    def prepare_data(self) -> None:
        """There is nothing to prepare."""

    def setup(self) -> None:
        """There is nothing to set up."""

    def train_dataloader(self) -> Any:
        return self._loader("train.bin", shuffle=True)

    def val_dataloader(self) -> Any:
        return self._loader("val.bin", shuffle=False)

    def _loader(self, name: str, shuffle: bool) -> Any:
        import torch
        from torch.utils.data import DataLoader

        rows = torch.from_numpy(rows_of(Path(self.run.data, name), self.run.context + 1))
        size = self.run.batch
        loader: Any = DataLoader(cast(Any, rows), size, shuffle=shuffle, drop_last=True)
        # As litdata's loaders, which litgpt's own data uses: else the checkpoint holds the text.
        loader.state_dict = loader.load_state_dict = dict
        return loader


def train_litgpt(run: Run) -> None:
    """litgpt's own `pretrain`: its GPT through torch.compile and Fabric, its loop and checkpoint.

    The network keeps litgpt's rotary positions, and an untied head; blocks are sequential, without
    biases, and the vocabulary is padded to a multiple of 64. What it trains in is bf16-true, or
    bf16-mixed, or 32-true.
    """
    from litgpt.args import EvalArgs, TrainArgs  # type: ignore[import-not-found]
    from litgpt.config import Config  # type: ignore[import-not-found]
    from litgpt.pretrain import setup  # type: ignore[import-not-found]

    sys.argv[1:] = [run.shape]  # its checkpoint reads the command line again
    setup(
        run.shape,
        model_config=Config(
            name=run.shape,
            block_size=run.context,
            n_layer=run.layers,
            n_head=run.heads,
            n_embd=run.width,
            vocab_size=run.vocab_size,
            padding_multiple=64,
            parallel_residual=False,
            bias=False,
        ),
        out_dir=Path(run.out),
        precision=run.precision or "bf16-true",
        data=Windows(run),
        train=TrainArgs(
            save_interval=None,
            log_interval=1,
            global_batch_size=run.batch,
            micro_batch_size=run.batch,
            max_tokens=run.steps * run.batch * run.context,
            max_norm=1.0,
            min_lr=run.rate / 10,
            lr_warmup_steps=run.warmup,
        ),
        eval=EvalArgs(interval=run.steps + 1, max_iters=1, final_validation=False),
        optimizer={
            "class_path": "torch.optim.AdamW",
            "init_args": {
                "lr": run.rate,
                "betas": (0.9, run.beta2),
                "weight_decay": run.weight_decay,
            },
        },
        devices=1,
        logger_name="csv",
        seed=run.seed,
    )


def train_hf(run: Run) -> None:
    """The steps of transformers' run_clm_no_trainer.py, which no package holds, with its defaults.

    Those are the betas, no clipping, fp32 on a CPU, no compilation. Its scheduler ends at zero.
    Labels are shifted within a row, so that a row of T tokens has T - 1 targets; T are counted.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.utils import set_seed
    from torch.utils.data import DataLoader
    from transformers import AutoModelForCausalLM, default_data_collator, get_scheduler

    precision = "bf16" if torch.cuda.is_available() else "no"
    accelerator = Accelerator(mixed_precision=run.precision or precision)
    set_seed(run.seed)
    factory: Any = AutoModelForCausalLM
    model = factory.from_config(_gpt2_config(run))
    loader: Any = DataLoader(
        _blocks(run), shuffle=True, collate_fn=default_data_collator, batch_size=run.batch
    )
    optimizer: Any = torch.optim.AdamW(_groups(model, run.weight_decay), lr=run.rate)
    schedule: Any = get_scheduler("cosine", optimizer, run.warmup, run.steps)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    done = 0
    while done < run.steps:
        model.train()
        for batch in loader:
            with accelerator.accumulate(model):
                loss = model(**batch).loss
                accelerator.backward(loss)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            done += 1
            if (done - 1) % run.log_every == 0:
                print(f"step {done}: loss {loss.item():.4f}")
            if done >= run.steps:
                break
    accelerator.unwrap_model(model).save_pretrained(run.out)


def _gpt2_config(run: Run) -> Any:
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=run.vocab_size,
        n_positions=run.context,
        n_embd=run.width,
        n_layer=run.layers,
        n_head=run.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )


def _groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """The example's two groups; the second names no parameter of GPT-2's norms but their biases."""
    named = list(model.named_parameters())
    exempt = ("bias", "layer_norm.weight")
    plain = [p for name, p in named if any(part in name for part in exempt)]
    decayed = [p for name, p in named if not any(part in name for part in exempt)]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


def _blocks(run: Run) -> Any:
    """Rows as the example groups them: columns of what a tokenizer returns, and labels."""
    import pyarrow as pa
    from datasets import Dataset

    rows = rows_of(Path(run.data, "train.bin"), run.context)
    ids = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    ones = np.ones(rows.size, np.int8)
    mask = pa.FixedSizeListArray.from_arrays(pa.array(ones), rows.shape[1])
    return Dataset(pa.table({"input_ids": ids, "attention_mask": mask, "labels": ids}))


def rows_of(path: Path, length: int) -> np.ndarray:
    """The token ids of a file as int32 (rows, length); the tokens after the last row are left."""
    ids = np.fromfile(path, np.uint16).astype(np.int32)
    return ids[: len(ids) // length * length].reshape(-1, length)


if __name__ == "__main__":
    {"litgpt": train_litgpt, "hf": train_hf}[sys.argv[1]](Run(**json.loads(sys.argv[2])))
