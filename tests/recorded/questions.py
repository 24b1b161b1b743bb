"""The questions whose answers are recorded in `tests/recorded/answers/`: name -> command lines, of files in inputs."""

from __future__ import annotations

from recorded.recording import Question

TINY = "--model tiny.json --hw paper256"
SMALL = f"{TINY} --set array.rows=16 --set array.cols=16 --set adc.per_array=4"
PAIR = "--model pair.json --hw paper256 --set array.rows=8 --set array.cols=16 --set adc.per_array=4"
DOT = "--model dot.json --hw paper256 --set array.rows=8 --set array.cols=8 --set adc.per_array=2"
SPREAD = f"{TINY} --strategy spread -q"
DENSE = f"{TINY} --strategy densemap -q"
SPARSE = f"{TINY} --strategy sparsemap -q"
SPREAD_FILE = "results/tiny--paper256--spread.json"
RULES = "--strategy linear,sparsemap,densemap,spread"
OPTIMAL = "--strategy optimal --simulate none -q"
GRAPH_FILE = "results/graph--rram256--spread.json"
DOT_FILE = "results/dot--paper256-array.rows8-array.cols8-adcs2--spread.json"
PAIR_FILE = "results/pair--paper256-array.rows8-array.cols16-adcs4--spread.json"
ACCURACY = (
    "--samples 300 --test-tokens 30 --calibration-tokens 20 --blocks 2,2 --compression 1.5 --bits 2 --text text.txt"
)


def ask(*lines: str, needs: str = "", slow: bool = False) -> Question:
    """Answers that rest on nothing but whole numbers and a few sums."""
    return Question(lines, (), tuple(needs.split()), slow)


def searched(*lines: str, needs: str = "", slow: bool = False) -> Question:
    """Answers of the solver: another OR-Tools may find others."""
    return Question(lines, ("ortools",), tuple(needs.split()), slow)


def measured(*lines: str, needs: str = "", slow: bool = False) -> Question:
    """Answers in floats, out of products and factorisations that differ between machines."""
    return Question(lines, ("arithmetic",), tuple(needs.split()), slow)


def printed(*lines: str) -> Question:
    """Pages of argparse, which each Python lays out in its own way."""
    return Question(lines, ("python",))


SOLVE = {
    "solve-all-paper256": searched(TINY),
    "solve-rules-rram256-medium": ask(f"--model medium.json --hw rram256 {RULES}"),
    "solve-rules-isaac": ask(f"--model medium.json --hw rram128-isaac {RULES} -q --json"),
    "solve-rules-pcm256": ask(f"--model graph.json --hw pcm256 {RULES} --simulate all -v"),
    "solve-rules-sram256": ask(f"--model llama/config.json --hw sram256 {RULES} -q"),
    "solve-rules-families": ask(
        f"--model gpt2.json --hw rram256 {RULES} -q", f"--model bart.json --hw rram128-isaac {RULES} -q --tokens 5"
    ),
    "solve-minilm-rram256": ask(f"--hw rram256 --model minilm-l6 {RULES}"),
    "solve-minilm-paper256": ask("--hw paper256 --model minilm-l6 --strategy spread"),
    "solve-optimal-rram256": searched(f"--model pair.json --hw rram256 {OPTIMAL}"),
    "solve-optimal-isaac": searched(f"--model pair.json --hw rram128-isaac {OPTIMAL}"),
    "solve-optimal-pcm256": searched(f"--model tiny.json --hw pcm256 {OPTIMAL} --set array.count=3"),
    "solve-optimal-sram256": searched(f"--model dot.json --hw sram256 {OPTIMAL}"),
    "solve-keys": ask(
        f"{SPREAD} --adcs 4 --set adc.sample_hold=true --set read_ns=5.5",
        f"{SPREAD} --set array.rows_active_max=8 --set adc.wiring=adjacent --set weight.bits=4 --set cell.bits=2",
    ),
    "solve-converters": ask(
        *(f"{SPREAD} --simulate none --converter {name}" for name in ("table", "isaac", "saberi", "sar", "survey"))
    ),
    "solve-json": ask(f"{TINY} --strategy spread,densemap --json"),
    "solve-verbose": ask(f"{TINY} --strategy sparsemap,linear -v --out elsewhere"),
}
OBJECTIVES = {
    "objective-latency": searched(f"{PAIR} {OPTIMAL} --objective latency --max-arrays 3"),
    "objective-throughput": searched(f"{PAIR} {OPTIMAL} --objective arrays,throughput"),
    "objective-prefill": searched(f"{PAIR} {OPTIMAL} --objective prefill --max-arrays 2"),
    "objective-energy": searched(f"{PAIR} {OPTIMAL} --objective energy,area"),
    "objective-weighted": searched(f"{PAIR} {OPTIMAL} --objective arrays,latency:0.7+energy:0.3"),
    "objective-lexicographic": searched(f"{DOT} {OPTIMAL} --objective arrays,energy,latency --seed 3"),
}
LIMITS = {
    "limits-kept": searched(
        f"{PAIR} {OPTIMAL} --max-latency 0.8us", f"{PAIR} {OPTIMAL} --max-energy 1nJ", f"{SPREAD} --max-arrays 2"
    ),
    "limits-infeasible": searched(
        f"{SMALL} {OPTIMAL} --max-arrays 1",
        f"{PAIR} {OPTIMAL} --max-latency 10",
        f"{TINY} {RULES} --max-latency 1us -q",
        f"{TINY} {RULES} --max-energy 1 --json",
    ),
    "cut-none": searched(f"{PAIR} {OPTIMAL} --cut none --max-arrays 2"),
    "cut-both": searched(f"{PAIR} {OPTIMAL} --cut both --structure 2,2,1 --max-arrays 2"),
    "cut-both-dense": searched(f"{SMALL} {OPTIMAL} --cut both --structure dense"),
    "exact": searched(f"{DOT} {OPTIMAL} --exact --objective latency", f"{TINY} {OPTIMAL} --exact"),
    "start": searched(f"{DOT} --strategy spread -q", f"{DOT} {OPTIMAL} --start {DOT_FILE}"),
    "structure-dense": ask(f"{SMALL} {RULES} --structure dense -q"),
    "structure-numbers": ask(f"{SPREAD} --structure 4,2,2", f"{SPREAD} --structure 8,8,1 --structure 'a.*=2,2,1'"),
    "structure-low-rank": ask(f"{SPREAD} --structure lowrank:3", f"{SPREAD} --structure 'b*=lowrank:2' --json"),
    "structure-by-name": searched(f"{TINY} {OPTIMAL} --structure sqrt --structure '*.key=dense' --tokens 7"),
}
WEIGHTS = {
    "weights-bert": ask("--model bert --hw rram256 --strategy linear,spread --simulate all"),
    "weights-llama": ask("--model llama --hw sram256 --strategy densemap --simulate layer -q --json"),
    "project-plain": measured(
        "project --model bert --structure 4,4,2 --structure '*.key=dense' --out factors.safetensors",
        "--model bert --hw rram256 --weights factors.safetensors --strategy linear,spread --simulate all -q",
    ),
    "project-inputs": measured(
        *(f"project --model bert --inputs inputs.npz --method {name} -q" for name in ("plain", "whitened", "lowrank")),
        "project --model bert --inputs inputs.npz --method als --structure 2,2,2 --out als.safetensors",
    ),
    "project-text": measured("project --model bert --text text.txt --method whitened", needs="tokenizers"),
    "accuracy-bert": measured(
        f"accuracy --weights bert {ACCURACY} --out accuracy.json",
        f"accuracy --weights bert {ACCURACY} -q",
        needs="tokenizers",
    ),
    "accuracy-llama": measured(
        f"accuracy --weights llama --hw paper256 {ACCURACY} --method dense,als --json", needs="tokenizers"
    ),
}
JUDGED = {
    "check": ask(
        SPREAD,
        DENSE,
        f"check {SPREAD_FILE} results/tiny--paper256--densemap.json",
        f"check {SPREAD_FILE} -v",
        f"check {SPREAD_FILE} --json",
    ),
    "check-corrupted": ask(
        SPREAD,
        f"""edit {SPREAD_FILE} '"value": 2029, "lower": 653' '"value": 2029, "lower": 654'""",
        f"""edit {SPREAD_FILE} '"array_busy_share": 0.' '"array_busy_share": 0.1'""",
        f"check {SPREAD_FILE}",
        f"check {SPREAD_FILE} -v",
        f"check {SPREAD_FILE} --json",
        f"replay {SPREAD_FILE}",
        f"report {SPREAD_FILE}",
    ),
    "check-illegal": ask(
        SPREAD,
        f"""edit {SPREAD_FILE} '"array_row": [0, ' '"array_row": [1, '""",
        f"check {SPREAD_FILE} -v",
        f"simulate {SPREAD_FILE} --kernel numpy",
    ),
    "replay": ask(
        SPREAD,
        SPARSE,
        f"replay {SPREAD_FILE} results/tiny--paper256--sparsemap.json",
        f"replay {SPREAD_FILE} --controller oldest --gaps together --tokens 5 --stream 9",
        f"replay {SPREAD_FILE} --controller burst --json",
    ),
    "simulate": measured(
        f"{SPREAD}",
        f"simulate {SPREAD_FILE} --kernel numpy",
        f"simulate {SPREAD_FILE} --kernel numpy --adc-bits 5 --adc-range calibrated -v",
        f"simulate {SPREAD_FILE} --kernel numpy --layer 1 --vectors 3 --seed 5 --json",
    ),
    "simulate-noise": measured(
        "--model graph.json --hw rram256 --strategy spread -q",
        f"simulate {GRAPH_FILE} --kernel numpy --noise programming=0.03,read=0.01,stuck=0.001 --json",
        f"simulate {GRAPH_FILE} --kernel numpy --noise drift=100,drift_nu=0.05,adc_gain=0.1 -q",
        f"simulate {GRAPH_FILE} --kernel numpy --noise adc_offset=0.5 --pairs subtracted -q",
    ),
    "simulate-weights": measured(
        "--model bert --hw rram256 --strategy spread -q",
        "simulate results/bert--rram256--spread.json --kernel numpy --weights bert --layer 0 --adc-bits 4",
    ),
    "report": ask(
        f"{PAIR} --strategy spread -q",
        f"report {PAIR_FILE} --out page.html --trace trace.json",
        needs="matplotlib.font_manager jinja2",
    ),
    "report-figures": ask(
        SPREAD,
        f"report {SPREAD_FILE} --figures pictures --format svg",
        needs="matplotlib.font_manager jinja2",
        slow=True,
    ),
}
STUDIES = {
    "compare-files": ask(
        SPREAD,
        SPARSE,
        f"{SPREAD} --adcs 4",
        f"compare {SPREAD_FILE} results/tiny--paper256--sparsemap.json",
        f"compare {SPREAD_FILE} results/tiny--paper256-adcs4--spread.json --stages 1",
        f"compare {SPREAD_FILE} results/tiny--paper256--sparsemap.json --json",
    ),
    "compare-questions": ask(
        f"compare --hw rram256,paper256 --model tiny.json,graph.json {RULES} --reference spread --jobs 1"
    ),
    "compare-forms": searched(
        *(
            f"compare {DOT} --strategy spread,optimal --jobs 1 --format {form}"
            for form in ("csv", "markdown", "latex", "json")
        )
    ),
    "sensitivity": ask(
        f"sensitivity {TINY} {RULES} --jobs 1", f"sensitivity {DOT} --strategy spread,sparsemap --jobs 1 -v"
    ),
    "sensitivity-optimal": searched(f"sensitivity {DOT} --strategy spread,optimal --jobs 1 --json", slow=True),
    "sweep": ask(
        f"sweep {TINY} --strategy spread --vary adc.per_array=2,4,512 --vary array.rows+array.cols=32,64 --jobs 1",
        f"sweep {TINY} --strategy spread --vary adc.per_array=2,4,8 --vary array.rows+array.cols=32,64 --jobs 1",
    ),
    "sweep-forms": ask(
        *(
            f"sweep {TINY} --strategy spread,linear --vary 'structure=sqrt;2,2,1' --vary max_latency_ns=null,2us "
            f"--jobs 1 --front latency,arrays --format {form}"
            for form in ("csv", "markdown", "latex", "json")
        )
    ),
    "sweep-study": ask(
        "sweep study.json --jobs 1 --plot front.svg",
        "sweep study.json --jobs 1 -q --fresh",
        needs="matplotlib.font_manager",
    ),
    "sweep-optimal": searched(
        f"sweep {PAIR} --vary adc.sample_hold=true,false --vary objective=arrays,energy --jobs 1"
    ),
    "pareto": searched(f"pareto {DOT}"),
    "pareto-json": searched(f"pareto {PAIR} --max-arrays 2 --json"),
    "explain-file": ask(
        SPREAD,
        f"explain {SPREAD_FILE}",
        f"explain {SPREAD_FILE} -v --what-if adc+1,read_ns=5 --what-if transfer-x2",
        f"explain {SPREAD_FILE} --json",
    ),
    "explain-question": searched(f"explain {DOT} --what-if adc+1,array+1,sample-hold"),
    "explain-limits": searched(f"explain {DOT} --max-arrays 1 --max-latency 200"),
    "explain-limits-json": ask(f"explain {TINY} --strategy spread --max-latency 1us --max-energy 1nJ --json"),
}
CHIPS = {
    "hw-new": ask(
        "hw new --name mine --technology rram --rows 128 --cols 128 --adcs 16 --out mine.json",
        "hw new --like pcm256 --set macro.mvm_ns=100 --source 'measured, 3 May' --out core.json -q",
        "hw check mine.json",
        "--hw mine.json --model tiny.json --strategy spread -q",
    ),
    "hw-check": ask(
        "hw check rram256 rram128-isaac pcm256 sram256 paper256",
        "hw check odd_chip.json --strict",
        "hw check sram256 odd_chip.json --json",
    ),
}
HELP = {
    "help-solve": printed("--help", "list --help", "completion --help"),
    "help-studies": printed(*(f"{name} --help" for name in ("pareto", "compare", "sensitivity", "sweep", "explain"))),
    "help-files": printed(*(f"{name} --help" for name in ("check", "replay", "report", "simulate"))),
    "help-weights": printed(*(f"{name} --help" for name in ("project", "choose", "accuracy"))),
    "help-hw": printed(*(f"hw {name} --help" for name in ("", "new", "check", "schema"))),
    "list": ask("list", "--version"),
    "completion": Question(("completion bash", "completion fish"), ("python", "shtab")),
    "refused-options": printed(
        "--strateg spread",
        "--strategy spred",
        "--objective latncy",
        "--objective latency:0.7+latency:0.3",
        "--seed -1",
        "--adcs 4 --set adc.per_array=8",
        "--strategy spread --exact",
        "--hw rram256 --hw paper256",
        "--max-latency 3parsec",
        "swep",
        "--model tiny.json check",
        "check",
        "compare one.json",
        "sweep",
        "sensitivity --strategy spread",
        "simulate x.json --noise reed=0.1",
        "replay x.json --controller slow",
        "report x.json --format svg",
        "project --model bert --method als",
        "accuracy",
        "hw nwe",
        "hw new --rows 4",
        "completion tcsh",
        "explain x.json --hw paper256",
    ),
    "refused-questions": ask(
        "--model tiny.json --hw rram265",
        "--model bert-lage",
        f"{TINY} --set array.row=3",
        f"{TINY} --set array.rows=-3",
        f"{TINY} --set array.rows=big",
        f"{TINY} --adcs 100000",
        f"{TINY} --structure 3,3,1",
        f"{TINY} --structure sqr",
        f"{TINY} --structure 'nothing*=dense'",
        f"{TINY} --tokens 17",
        f"{TINY} --out tiny.json",
        f"sweep {TINY} --vary adc.per_aray=4,8",
        f"sweep {TINY} --vary strategy=spread,optmal",
        f"compare {TINY} --strategy spread --reference linear",
        "project --model tiny.json",
        "accuracy --weights nowhere",
        "hw new --rows 4 --out tiny.json",
        "hw new --technology rram --set array.rowz=3 --out new.json",
    ),
    "refused-files": ask(
        *(f"--model {name}.json" for name in ("missing", "empty", "cut", "words", "list", "rwkv", "keyless")),
        "--model tiny.json --hw typo_chip.json",
        "--model tiny.json --hw cut.json",
        *(f"check {name}.json" for name in ("missing", "words", "newer", "tiny", "odd_chip")),
        "check tiny.json newer.json --json",
        "simulate study.json",
        "replay list.json",
        "report odd_chip.json",
        "compare tiny.json study.json",
        "explain newer.json",
        "sweep wrong_study.json",
        "sweep tiny.json",
        "hw check tiny.json typo_chip.json",
        f"{TINY} {OPTIMAL} --start tiny.json",
        "--model bert --weights inputs.npz",
        "project --model bert --inputs text.txt --method als",
    ),
}
LARGE = {
    "large-bert-rram256": searched("--hw rram256", slow=True),
    "large-bert-paper256": searched("--hw paper256 --json", slow=True),
    "large-minilm-paper256": searched("--hw paper256 --model minilm-l6 --strategy optimal -v", slow=True),
    "large-llama-paper256": searched("--hw paper256 --model llama-3-8b --strategy spread,optimal -q", slow=True),
}
QUESTIONS = {**SOLVE, **OBJECTIVES, **LIMITS, **WEIGHTS, **JUDGED, **STUDIES, **CHIPS, **HELP, **LARGE}
