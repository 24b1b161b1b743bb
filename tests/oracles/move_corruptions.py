"""Each equation of a chip with a network made wrong, as `cost_corruptions.py` has those of any chip."""

from __future__ import annotations

from typing import Any

from cimsolve.chip.htree import HTree
from cimsolve.chip.interconnect import Interconnect
from cimsolve.chip.mesh import Mesh
from cimsolve.chip.spec import Hardware
from cimsolve.price import cost, gaps, moves
from cimsolve.price.moves import Move
from oracles.cost_corruptions import Wrapper, edited

MOVE_CORRUPTIONS: dict[tuple[Any, str], dict[str, Wrapper]] = {
    # What a chip says
    (Hardware, "core_arrays_um2"): {
        "a core has one array": edited("self.core.arrays * float", "float"),
    },
    (Hardware, "side_mm"): {
        "a core takes no room beside its arrays": edited(" + self.core.area_um2", ""),
        "a router takes no room": edited(" + self.network.area_um2", ""),
    },
    (Hardware, "pitch_mm"): {
        "a pitch is that of areas": edited("self.side_mm if given is None else given", "self.side_mm"),
    },
    (Hardware, "topology"): {
        "wires cost no energy": edited(" + wire * self.pitch_mm", ""),
        "routers cost no energy": edited("(network.router_pj_per_bit or 0.0) + ", ""),
        "the hub is at the edge": edited("if isinstance(at, tuple) else None", "if None else None"),
        "the hub is in the first column": edited("at[0] * network.cols + at[1]", "at[0] * network.cols"),
        "hops take no time": edited("int(picoseconds(network.hop_ns or 0.0))", "0"),
    },
    (Hardware, "interconnect"): {
        "a whole output has a sum's bits": edited("self.network.out_bits or ", ""),
        "a move begins at once": edited("int(picoseconds(self.network.base_ns))", "0"),
        "all is unicast": edited('self.network.multicast == "tree"', "False"),
    },
    (Hardware, "core_add_pj"): {
        "cores add as digital units": edited("if self.energy_pj is None", "if True"),
    },
    (Interconnect, "bits_per_ns"): {
        "the port is as wide as may be": edited("np.full(2, self.hub_bits_per_ns)", "np.full(2, 1e9)"),
        "the port carries one way as fast as both": edited(
            "np.full(2, self.hub_bits_per_ns)", "np.array([1e9, self.hub_bits_per_ns])"
        ),
        "buses are as wide as may be": edited("self.bus_bits_per_ns", "1e9"),
        "links are as wide as may be": edited("self.topology.link_bits_per_ns", "1e9 * self.topology.link_bits_per_ns"),
    },
    (Interconnect, "pj_per_bit"): {
        "buses cost no energy": edited("self.bus_pj_per_bit", "0.0"),
        "the port costs what a bus does": edited("np.zeros(2)", "np.full(2, self.bus_pj_per_bit)"),
    },
    # Routes
    (Mesh, "multicast"): {
        "a mesh has no unicast": edited("if is_tree", "if True"),
    },
    (Mesh, "gather"): {
        "what goes up follows a row first": edited("by_way[:, list(REVERSED)]", "by_way"),
        "places send one bit": edited("bits[move, sending]", "np.minimum(bits[move, sending], 1)"),
    },
    (Mesh, "_trees"): {
        "rows end a column short in the east": edited("np.maximum(from_col, last)", "np.maximum(from_col, last - 1)"),
        "rows end a column short in the west": edited("np.minimum(from_col, first)", "np.minimum(from_col, first + 1)"),
        "columns end a row short in the south": edited(
            "np.maximum(begin, bottom) + 1", "np.maximum(begin + 1, bottom)"
        ),
        "columns end a row short in the north": edited("np.minimum(begin, top) + 1", "np.minimum(begin, top + 1) + 1"),
        "hops along a row take no time": edited(
            "np.maximum(column - west_most[owner], east_most[owner] - column)", "0"
        ),
        "hops to the north take no time": edited("np.maximum(bottom - begin, begin - top)", "bottom - begin"),
        "the edge is no hop": edited(
            "np.maximum(bottom - begin, begin - top)", "np.maximum(bottom - np.maximum(begin, 0), begin - top)"
        ),
        "the edge is no link": edited("np.full(len(bits), -1)", "np.zeros(len(bits), dtype=np.int64)"),
        "all moves are as long as the longest": edited(
            "max_by(move[owner], hops, moves)", "np.full(moves, hops.max(initial=0))"
        ),
    },
    (Mesh, "count_routers"): {
        "every place has a router": edited("len(places)", "self.places"),
    },
    (HTree, "multicast"): {
        "a tree has no unicast down": edited("1 if is_tree else behind", "1"),
        "a tree has no unicast up": edited("sent if is_tree else away", "sent"),
        "a core sends to itself": edited("leaves_home = node != home[owner]", "leaves_home = node == node"),
        "a way up takes no time": edited("(1 if source is None else 2)", "1"),
        "all levels take what leaves do": edited("self.hop_ps[level]", "self.hop_ps[0]"),
    },
    (HTree, "gather"): {
        "only leaves take time on the way up": edited("sum(self.hop_ps)", "self.hop_ps[0]"),
        "a node sends for one leaf": edited(".sum(axis=2)", ".max(axis=2)"),
    },
    (HTree, "link_bits_per_ns"): {
        "rates are from the root down": edited("self.bits_per_ns", "self.bits_per_ns[::-1]"),
    },
    (HTree, "link_pj_per_bit"): {
        "energies are from the root down": edited("self.pj_per_bit", "self.pj_per_bit[::-1]"),
    },
    (HTree, "count_routers"): {
        "leaves have routers": edited("range(1, self.levels)", "range(self.levels)"),
    },
    # What moves
    (moves._Finder, "__init__"): {
        "dense outputs do not wait for factored ones": edited(
            "vectors.follower[table.stage[self.made.owner]]",
            "np.where(self.is_z, vectors.follower[table.stage[self.made.owner]], table.stage[self.made.owner])",
        ),
        "a part is whole": edited("self.made.places_of_run == 1", "self.made.places_of_run > 0"),
    },
    (moves._Finder, "find"): {
        "the hub adds what cores have added": edited("made.places_of_run - 1", "made.pieces_of_run - 1"),
        "cores add at no energy": edited("(made.pieces - 1)", "(0 * made.pieces)"),
        "z is added after it was read": edited(
            "np.where(self.is_z, self.table.stage[made.owner], self.stage)", "self.stage"
        ),
    },
    (moves._Finder, "_down"): {
        "the port multicasts what links do not": edited(" if channels.is_tree else buses.sum(axis=1)", ""),
        "the port unicasts what links do not": edited("sum_by(move, bits, self.stages) if channels.is_tree else ", ""),
        "inputs move as sums": edited("channels.input_bits", "channels.sum_bits"),
        "inputs are on no bus": edited("bits[owner])", "0 * bits[owner])"),
    },
    (moves._Finder, "_up"): {
        "a part moves as an output": edited(
            "channels.out_bits, channels.sum_bits)", "channels.out_bits, channels.out_bits)"
        ),
        "an output moves as a part": edited(
            "channels.out_bits, channels.sum_bits)", "channels.sum_bits, channels.sum_bits)"
        ),
        "z goes up though it is whole": edited("self.is_z & self.is_whole", "self.is_z & ~self.is_z"),
        "z is on its bus twice": edited("np.where(self.is_z, 0, made.sizes)", "made.sizes"),
        "outputs pass no port": edited("0 * port, port)", "0 * port, 0 * port)"),
    },
    (moves._Finder, "_over"): {
        "z moves as sums": edited("elements * input_bits, keys %", "elements * channels.sum_bits, keys %"),
        "z is read on no bus": edited("buses += ", "buses += 0 * "),
        "parts of z go over": edited("(reader * self.places + source)[whole]", "reader * self.places + source"),
        "parts of z come down as sums": edited(
            "added, elements * input_bits, None", "added, elements * channels.sum_bits, None"
        ),
    },
    (moves._Finder, "_readers"): {
        "z is not shuffled": edited(".T.reshape(-1)", ".reshape(-1)"),
    },
    (moves._Finder, "_leaving_arrays"): {
        "a core's parts are on its bus once": edited("made.pieces * each", "each"),
        "parts in one core are whole": edited("made.pieces_of_run == 1", "self.is_whole"),
    },
    (moves, "_streaming_ps"): {
        "channels carry one after the other": edited(".max()", ".sum()"),
    },
    (Move, "fixed_ps"): {
        "hops take no time on any network": edited(" + self.hops_ps", ""),
    },
    # Gaps
    (gaps, "arriving"): {
        "what has risen is waited for": edited(" if each not in there]", "]"),
    },
    (gaps._Carrier, "__call__"): {
        "outputs rise for each reader": edited(' if each.way != "up" or each.stage in fresh', ""),
        "cores add for each reader": edited("for each in fresh)\n", "for each in read)\n"),
        "only the first of what is read rises": edited('("up", read, moves.up)', '("up", read[:1], moves.up)'),
    },
    (gaps, "cycles_of_move"): {
        "a move is rounded once": edited(
            "int(hardware.cycles(move.fixed_ps)) + int(hardware.cycles(move.streaming_ps))",
            "int(hardware.cycles(move.fixed_ps + move.streaming_ps))",
        ),
        "bits take no time": edited(" + int(hardware.cycles(move.streaming_ps))", ""),
    },
    (gaps, "moves_of_phases"): {
        "what goes up is of the phase that waits": edited(
            "stages[each.stage].phase].append",
            "stages[min(each.stage + (each.way == 'up'), len(stages) - 1)].phase].append",
        ),
        "moves are counted once a gap that waits": edited("if id(each.move) in counted", "if True"),
    },
    (gaps, "_gap"): {
        "z goes over once its parts are down": edited(
            "max(carried.cycles, carried.together - partial_sum_cycles)", "carried.cycles + carried.together"
        ),
        "sums are beside no move": edited("carried.together - partial_sum_cycles", "carried.together"),
    },
    (gaps, "find_gaps"): {
        "a later pass gets no inputs": edited("last, later, tail", "last, [], tail"),
        "the first gap is of no pass": edited("not stage.after or workload", "workload"),
    },
    (gaps, "pass_begins"): {
        "a pass begins with its first stage": edited(" - gaps.before[stage].cycles", ""),
    },
    (gaps, "shared_cycles"): {
        "a network carries one move at a time": edited("problem.hardware.interconnect is not None", "False"),
    },
    (gaps, "least_partial_sum_elements"): {
        "cores cannot add": edited("problem.hardware.interconnect is not None", "False"),
    },
    # Figures
    (cost, "_network_metrics"): {
        "every array is a core": edited("len(np.unique(fired.place[used]))", "len(used)"),
        "buses are links": edited("bits_of(moves)[: interconnect.links]", "bits_of(moves)"),
    },
    (cost, "evaluate"): {
        "buses are no network": edited('in ("network", "bus")', 'in ("network",)'),
    },
    (cost, "_cores_mm2"): {
        "cores have no area": edited("len(places) * hardware.core.area_um2 + ", ""),
        "routers have no area": edited("routers * hardware.network.area_um2 + ", ""),
        "the hub has no area": edited(" + hardware.network.hub.area_um2", ""),
    },
}
