"""`cd tests && python -m fuzz --inputs 10000 --seed 1 [--kinds NAME ...] [--only NUMBER]`; exits 1 where it finds."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is first imported

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from fuzz.judge import outcomes
from fuzz.kinds import KINDS


def fuzz() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000, help="damaged inputs over all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--only", type=int, help="this input of one kind alone")
    parser.add_argument("--keep", type=Path, help="a new folder that keeps the files of the last input")
    options = parser.parse_args()
    share = -(-options.inputs // len(options.kinds))
    numbers = range(share) if options.only is None else [options.only]
    found = 0
    with tempfile.TemporaryDirectory() as made:
        for name in options.kinds:
            place = (options.keep or Path(made)) / name
            codes: Counter[str] = Counter()
            for outcome in outcomes(name, KINDS[name], options.seed, numbers, place.resolve()):
                codes["finding" if outcome.what else f"exit {outcome.code}"] += 1
                if outcome.what:
                    print(outcome, flush=True)
            found += codes["finding"]
            print(f"{name}: {', '.join(f'{count} x {code}' for code, count in sorted(codes.items()))}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(fuzz())
