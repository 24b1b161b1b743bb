"""What mapped arrays do to a model's own answers: its forward pass with every linear run by the arrays.

    table = measure_accuracy("weights/minilm", "rram256", bits=(8, 6))
    print(table.rows[0].figures["calibrated 6"].cosine)

Biases, norms, embeddings, attention and the language-model head are not mapped on arrays and stay float32.
"""

from cimsolve.study.accuracy.answers import Accuracy, AccuracyRow, AccuracyTable, compare
from cimsolve.study.accuracy.measure import measure_accuracy, rows_measured
from cimsolve.study.accuracy.product import ArrayProduct
from cimsolve.study.accuracy.question import AccuracyQuestion, AccuracyStep

__all__ = [
    "Accuracy",
    "AccuracyQuestion",
    "AccuracyRow",
    "AccuracyStep",
    "AccuracyTable",
    "ArrayProduct",
    "compare",
    "measure_accuracy",
    "rows_measured",
]
