"""How to store each linear of a model so that its answers lose least on a number of arrays."""

from cimsolve.study.choose.ask import Chooser, Chosen, front_of
from cimsolve.study.choose.run import ChoiceFound, Tested, choose_structures

__all__ = ["ChoiceFound", "Chooser", "Chosen", "Tested", "choose_structures", "front_of"]
