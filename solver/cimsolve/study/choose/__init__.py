"""How to store each linear of a model so that its answers lose least on a number of arrays."""

from cimsolve.study.choose.ask import Chooser, Chosen
from cimsolve.study.choose.run import ChoiceFound, Tested, choose_each, choose_structures
from cimsolve.study.choose.within import RULE, MappedChoice

__all__ = ["RULE", "ChoiceFound", "Chooser", "Chosen", "MappedChoice", "Tested", "choose_each", "choose_structures"]
