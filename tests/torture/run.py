"""Stop a small training at random moments, resume it, and compare; damage its checkpoint. ``make torture`` runs it.

It prints what was tried and what failed, with the machine and the date, and ends with status 1 if anything failed. It
needs ``os.fork`` (Linux, macOS): each run of the command line is a fork, so that few stops fall into the imports.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from PIL import Image
from small_training import make_pictures, same_bits, small_config, weights

from nstlib import TrainingError, TransformerNet
from nstlib.cli.main import main
from nstlib.feedforward.checkpoint import CHECKPOINT, Checkpoint
from nstlib.feedforward.training import NETWORK, Trainer

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Torture:
    """The trials on one training, and their counts.

    Attributes:
        tried: Number of trials by name.
        failed: Descriptions of failures by the name of the trial.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.tried: Counter[str] = Counter()
        self.failed: list[tuple[str, str]] = []
        self.errors = folder / "stderr.txt"
        root = make_pictures(folder / "pictures")
        (root / "photos" / "broken.png").write_bytes((root / "photos" / "0.png").read_bytes()[:200])
        config = small_config(root, folder / "whole")
        self.config = replace(
            config,
            styles=(config.styles[0], str(root / "bars.png")),
            norm="conditional",
            steps=60,
            identity_steps=5,
            checkpoint_every=3,
            picture_every=7,
        )
        self.file = folder / "config.json"
        self.file.write_text(json.dumps(self.config.as_dict()))

    def fail(self, name: str, what: str) -> None:
        self.failed.append((name, what))
        print(f"FAILED: {name}: {what}", flush=True)

    # --- runs -------------------------------------------------------------------------------------------

    def fork(self, work: Callable[[], object]) -> int:
        """Do work in a forked process; return its number."""
        number = os.fork()
        if number:
            return number
        status = 1
        try:
            os.dup2(os.open(self.errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            status = int(work() or 0)
        except BaseException:
            with contextlib.suppress(BaseException):
                traceback.print_exc()
        finally:
            os._exit(status)

    def train(self, output: Path, resume: bool, workers: int = 0) -> int:
        """Start ``nst train`` in a forked process; return its number."""
        words = ["train", "--quiet", "--config", str(self.file), "--output", str(output), "--workers", str(workers)]
        return self.fork(lambda: main([*words, "--resume"] if resume else words))

    def wait(self, number: int, seconds: float) -> int | None:
        """Return the exit status of a process, or None if it still runs after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            ended, status = os.waitpid(number, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                return None
            time.sleep(0.001)

    # --- trials -----------------------------------------------------------------------------------------

    def stop_and_resume(self, stops: dict[signal.Signals, int]) -> None:
        """Stop trainings at random moments and resume each until it is done; compare with the uninterrupted one."""
        begin = time.monotonic()
        assert self.wait(self.train(self.folder / "whole", resume=False), 600) == 0, self.errors.read_text()
        duration, trainings = time.monotonic() - begin, 0
        while sum(stops.values()):
            trainings += 1
            output = self.folder / f"run{trainings}"
            while not self._stopped_or_done(output, duration, stops):
                pass
            self._compare(output)

    def _stopped_or_done(self, output: Path, duration: float, stops: dict[signal.Signals, int]) -> bool:
        """Start or resume a training and stop it at a random moment; return whether it was done before."""
        number = self.train(output, (output / CHECKPOINT).exists(), self.random.choice((0, 0, 2)))
        left = [chosen for chosen, count in stops.items() if count]
        status = self.wait(number, self.random.uniform(0, duration) if left else 600)
        if status is not None:
            if status:
                self.fail("resumed", f"{output.name} ended with {status}: {self.errors.read_text()[-500:]}")
            return True
        chosen = self.random.choice(left)
        os.kill(number, chosen)
        status = self.wait(number, 60)
        stops[chosen] -= 1
        name = f"stopped by {chosen.name}"
        self.tried[name] += 1
        if status is None:
            self.fail(name, "the process did not end")
            os.kill(number, signal.SIGKILL)
            self.wait(number, 60)
        elif chosen is signal.SIGINT and "Traceback" in self.errors.read_text():  # readers of a killed one complain
            self.fail(name, self.errors.read_text()[-500:])
        self._check_files(output)
        return False

    def _check_files(self, output: Path) -> None:
        """Check that every file of a stopped training is whole; hidden ones are what was being written."""
        for path in output.rglob("[!.]*.*"):
            self.tried["files whole after a stop"] += path.suffix != ".lock"
            try:
                if path.name == CHECKPOINT:
                    Checkpoint.load(output)
                elif path.name == NETWORK:
                    TransformerNet.load(path)
                elif path.suffix == ".jpg":
                    with Image.open(path) as picture:
                        picture.load()
            except Exception as error:
                self.fail("files whole after a stop", f"{path.name}: {error}")

    def _compare(self, output: Path) -> None:
        """Compare a training that was stopped with the uninterrupted one: weights, card and losses, to the bit."""
        self.tried["trainings equal to the uninterrupted one"] += 1
        found, expected = (self._results(folder) for folder in (output, self.folder / "whole"))
        different = [name for name in expected if name != "weights" and found[name] != expected[name]]
        different += [] if same_bits(found["weights"], expected["weights"]) else ["weights"]
        if different:
            self.fail("trainings equal to the uninterrupted one", f"{output.name}: {', '.join(different)} differ")

    def _results(self, output: Path) -> dict[str, Any]:
        net, checkpoint = TransformerNet.load(output / NETWORK), Checkpoint.load(output)
        losses = [(r.step, r.total, r.content_total, r.style_total, r.note) for r in checkpoint.progress.records]
        card = {name: value for name, value in net.card.items() if name != "seconds"}
        sheets = {path.name: path.read_bytes() for path in (output / "pictures").glob("*.jpg")}
        return {"weights": weights(net), "card": card, "losses": losses, "sheets": sheets}

    def kill_while_writing(self, times: int) -> None:
        """Kill a process that does nothing but write its checkpoint."""
        config = replace(self.config, output=str(self.folder / "writing"))

        def write_again_and_again() -> None:
            trainer = Trainer(config)
            while True:
                trainer.progress.step += 1
                trainer.save_checkpoint()

        output = Path(config.output)
        for _ in range(times):
            (output / CHECKPOINT).unlink(missing_ok=True)
            number = self.fork(write_again_and_again)
            end = time.monotonic() + 60
            while not (output / CHECKPOINT).exists() and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(self.random.uniform(0, 0.1))
            os.kill(number, signal.SIGKILL)
            self.wait(number, 60)
            self.tried["killed while writing a checkpoint"] += 1
            try:
                Checkpoint.load(output)
            except Exception as error:
                self.fail("killed while writing a checkpoint", str(error))

    def flip_bytes(self, times: int) -> None:
        """Change one byte of a finished checkpoint; each time it must be refused."""
        output = self.folder / "whole"
        data = (output / CHECKPOINT).read_bytes()
        for _ in range(times):
            place, changed = self.random.randrange(len(data)), bytearray(data)
            changed[place] ^= self.random.randrange(1, 256)
            (output / CHECKPOINT).write_bytes(changed)
            self.tried["flipped bytes noticed"] += 1
            try:
                Checkpoint.load(output)
                self.fail("flipped bytes noticed", f"byte {place} of {len(data)} was not noticed")
            except TrainingError:
                pass
        (output / CHECKPOINT).write_bytes(data)


def processor() -> str:
    """Return the name of the processor and the number of cores that this process may use."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"


def run(stops: int, flips: int, writes: int, seed: int) -> int:
    """Run all trials; print the counts; return the number of failures."""
    torch.set_num_threads(1)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nst-torture-") as folder:
        torture = Torture(Path(folder), seed)
        torture.stop_and_resume({chosen: stops // len(SIGNALS) for chosen in SIGNALS})
        torture.kill_while_writing(writes)
        torture.flip_bytes(flips)
    failures = Counter(name for name, _ in torture.failed)
    print("| what | tried | failed |\n|---|---:|---:|")
    for name in sorted({*torture.tried, *failures}):
        print(f"| {name} | {torture.tried[name]} | {failures[name]} |")
    print(f"\n{processor()}; {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}; "
          f"{datetime.date.today()}; seed {seed}; {time.monotonic() - begin:.0f} s")  # fmt: skip
    return len(torture.failed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stops", type=int, default=60, help="stops, a third by each of three signals (%(default)s)")
    parser.add_argument("--flips", type=int, default=100, help="bytes of a checkpoint that are changed (%(default)s)")
    parser.add_argument("--writes", type=int, default=20, help="kills while a checkpoint is written (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of moments, signals and bytes (default: %(default)s)")
    args = parser.parse_args()
    raise SystemExit(1 if run(args.stops, args.flips, args.writes, args.seed) else 0)
