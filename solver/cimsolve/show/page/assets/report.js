"use strict";
/* Maps of arrays and pieces. Everything shown is set as text, never as markup; nothing is loaded. */
(() => {
  const KINDS = { u1: Uint8Array, u2: Uint16Array, i4: Int32Array, f8: Float64Array };
  const LISTED = 500;
  const SCALE = JSON.parse(document.getElementById("scale").textContent);
  const tip = document.querySelector(".tip");
  const explorers = [];

  async function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new KINDS[packed.kind](await new Response(stream).arrayBuffer());
  }
  async function unpackAll(columns, names) {
    const found = await Promise.all(names.map((name) => unpack(columns[name])));
    return Object.fromEntries(names.map((name, i) => [name, found[i]]));
  }

  const colour = (role) => getComputedStyle(document.documentElement).getPropertyValue("--" + role).trim();
  const shade = (share) => SCALE[Math.max(0, Math.min(SCALE.length - 1, Math.round(share * (SCALE.length - 1))))];
  const number = (value) => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4))));
  const plural = (count, noun) => count + " " + noun + (count === 1 ? "" : "s");
  const element = (name, text) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  function showTip(event, text) {
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - 14 - box.width : event.clientX + 14;
    const top = event.clientY + 14 + box.height > innerHeight ? event.clientY - 14 - box.height : event.clientY + 14;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, top) + "px";
  }

  /* A canvas of CSS size width x height, sharp on any screen; returns its context in CSS pixels. */
  function prepare(canvas, height) {
    const width = canvas.clientWidth || 300;
    const ratio = window.devicePixelRatio || 1;
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return [context, width, height];
  }

  /* Marks what is wider than its place, which style sheets cannot tell. */
  function markWider() {
    for (const box of document.querySelectorAll(".sideways")) box.classList.toggle("wider", box.scrollWidth > box.clientWidth + 4);
  }

  function swatched(entry) {
    const item = element("span"), swatch = element("i");
    swatch.style.background = entry.colour;
    item.append(swatch, element("span", entry.label));
    return item;
  }

  function ramp(legend, low, high, unit) {
    const bar = element("span");
    bar.className = "ramp";
    bar.style.background = "linear-gradient(to right, " + [0, 8, 16, 24, 32, 40, 48, 56, 63].map((i) => SCALE[i]).join(", ") + ")";
    legend.replaceChildren(element("span", low + unit), bar, element("span", high + unit));
  }

  class Explorer {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(document.getElementById("data-" + root.dataset.solution).textContent);
      this.at = (name) => root.querySelector("." + name);
      this.chunks = new Map();
      this.chosen = 0;
      this.piece = -1;
      this.shown = null;
    }

    async start() {
      const data = this.data;
      this.table = await unpackAll(data.arrays, ["number", "cells", "busy_cycles", "pieces", "firings", "first_layer", "last_layer", "layout"]);
      const embedded = data.embedded ? await unpack(data.embedded) : Uint32Array.from({ length: data.count }, (_, i) => i);
      this.place = new Map();
      embedded.forEach((array, i) => this.place.set(array, i));
      this.embedded = embedded;
      this.sizes = [];
      this.table.layout.forEach((layout) => (this.sizes[layout] = (this.sizes[layout] || 0) + 1));
      this.root.classList.add("ready");
      this.connect();
      this.listLayouts();
      await this.choose(embedded[0]);
      this.root.classList.add("drawn");
      performance.mark("cimsolve drawn");
    }

    connect() {
      const field = this.at("field"), pieces = this.at("pieces"), firings = this.at("firings");
      this.at("measure").addEventListener("change", () => this.drawField());
      this.at("colouring").addEventListener("change", () => this.drawPieces());
      this.at("previous").addEventListener("click", () => this.step(-1));
      this.at("next").addEventListener("click", () => this.step(1));
      this.at("number").addEventListener("change", () => {
        const index = this.table.number.indexOf(Number(this.at("number").value));
        if (index >= 0) this.choose(index);
        else this.at("pieces-status").textContent = "No array has the number " + this.at("number").value + ".";
      });
      field.addEventListener("pointermove", (event) => showTip(event, this.words(this.fieldAt(event))));
      field.addEventListener("pointerleave", () => showTip(null, ""));
      field.addEventListener("click", (event) => { const index = this.fieldAt(event); if (index >= 0) this.choose(index); });
      field.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        const next = this.chosen + by;
        if (next >= 0 && next < this.data.count) this.choose(next);
      });
      pieces.addEventListener("pointermove", (event) => { this.point(this.pieceAt(event)); showTip(event, this.describe(this.piece)); });
      pieces.addEventListener("pointerleave", () => { showTip(null, ""); this.point(-1); });
      pieces.addEventListener("keydown", (event) => {
        if (!this.shown) return;
        const count = this.shown.count;
        const next = { ArrowLeft: this.piece - 1, ArrowUp: this.piece - 1, ArrowRight: this.piece + 1, ArrowDown: this.piece + 1, Home: 0, End: count - 1 }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        this.point((next + count) % count);
      });
      firings.addEventListener("pointermove", (event) => { this.point(this.firingAt(event)); showTip(event, this.describe(this.piece)); });
      firings.addEventListener("pointerleave", () => { showTip(null, ""); this.point(-1); });
      this.at("list").addEventListener("toggle", () => this.listPieces());
    }

    step(by) {
      const place = this.place.has(this.chosen) ? this.place.get(this.chosen) : 0;
      const count = this.embedded.length;
      this.choose(this.embedded[(place + by + count) % count]);
    }

    /* The map of all arrays */

    measure(index) {
      const data = this.data, name = this.at("measure").value, value = this.table[name][index];
      if (name === "cells") return (100 * value) / (data.rows * data.cols);
      return name === "busy_cycles" ? (100 * value) / data.latency_cycles : value;
    }

    drawField() {
      const canvas = this.at("field"), count = this.data.count;
      const room = canvas.clientWidth || 300;
      this.columns = Math.max(1, Math.min(count, Math.ceil(Math.sqrt(count * 1.4))));
      this.lines = Math.ceil(count / this.columns);
      this.side = Math.min(room / this.columns, 40);
      const [context] = prepare(canvas, Math.ceil(this.side * this.lines) + 2);
      const shares = this.at("measure").value === "cells" || this.at("measure").value === "busy_cycles";
      let top = 0;
      for (let i = 0; i < count; i++) top = Math.max(top, this.measure(i));
      if (shares && top > 50) top = 100;
      const gap = this.side > 5 ? 0.5 : 0;
      for (let i = 0; i < count; i++) {
        context.fillStyle = shade(top ? this.measure(i) / top : 0);
        context.fillRect((i % this.columns) * this.side, Math.floor(i / this.columns) * this.side, this.side - gap, this.side - gap);
      }
      const x = (this.chosen % this.columns) * this.side, y = Math.floor(this.chosen / this.columns) * this.side;
      for (const [role, line] of [["paper", 6], ["bound", 3]]) {
        context.strokeStyle = colour(role);
        context.lineWidth = line;
        context.strokeRect(x + 1, y + 1, Math.max(this.side, 8) - 2, Math.max(this.side, 8) - 2);
      }
      ramp(this.at("field-legend"), "0", number(top), shares ? "%" : "");
    }

    fieldAt(event) {
      const column = Math.floor(event.offsetX / this.side), line = Math.floor(event.offsetY / this.side);
      const index = line * this.columns + column;
      return column >= 0 && column < this.columns && line >= 0 && index < this.data.count ? index : -1;
    }

    words(index) {
      if (index < 0) return "";
      const table = this.table, data = this.data, layout = table.layout[index];
      const layers = table.first_layer[index] === table.last_layer[index] ? "layer " + table.first_layer[index] : "layers " + table.first_layer[index] + " to " + table.last_layer[index];
      return "array " + table.number[index] + ": " + number((100 * table.cells[index]) / (data.rows * data.cols)) + "% of its cells occupied, fires " +
        number((100 * table.busy_cycles[index]) / data.latency_cycles) + "% of a token's latency\n" +
        plural(table.pieces[index], "piece") + " of " + layers + ", " + plural(table.firings[index], "firing") + "\n" +
        "layout " + (layout + 1) + " of " + this.sizes.length + ", on " + plural(this.sizes[layout], "array");
    }

    listLayouts() {
      const list = this.at("layouts"), first = new Map();
      this.table.layout.forEach((layout, index) => { if (!first.has(layout) && (this.place.has(index) || this.sizes[layout] === 1)) first.set(layout, index); });
      list.append(element("span", this.sizes.length === 1 ? "All have the same layout." : plural(this.sizes.length, "layout") + ":"));
      for (let layout = 0; layout < Math.min(8, this.sizes.length) && this.sizes.length > 1; layout++) {
        if (!first.has(layout)) continue;
        const button = element("button", layout + 1 + ": " + plural(this.sizes[layout], "array"));
        button.type = "button";
        button.addEventListener("click", () => this.choose(first.get(layout)));
        list.append(button);
      }
      if (this.sizes.length > 8) list.append(element("span", "and " + (this.sizes.length - 8) + " others"));
    }

    /* One array */

    async choose(index) {
      this.chosen = index;
      this.piece = -1;
      this.at("number").value = this.table.number[index];
      this.at("field-status").textContent = this.words(index);
      this.drawField();
      const shown = await this.load(index);
      if (this.chosen !== index) return;
      this.shown = shown;
      this.drawPieces();
      this.listPieces();
    }

    async load(index) {
      const place = this.place.get(index);
      if (place === undefined) return null;
      const chunks = this.data.chunks;
      let at = 0;
      while (at + 1 < chunks.length && chunks[at + 1].from <= place) at++;
      if (!this.chunks.has(at)) {
        this.chunks.set(at, unpackAll(chunks[at], ["ends", "factor", "block", "row0", "rows", "col0", "cols", "array_row", "array_col", "start", "end"]));
      }
      const chunk = await this.chunks.get(at), inside = place - chunks[at].from;
      const low = inside ? chunk.ends[inside - 1] : 0, high = chunk.ends[inside];
      const part = { count: high - low };
      for (const name of ["factor", "block", "row0", "rows", "col0", "cols", "array_row", "array_col", "start", "end"]) part[name] = chunk[name].subarray(low, high);
      return part;
    }

    colourOf(i) {
      const data = this.data, shown = this.shown, stage = data.factors.stage[shown.factor[i]];
      const how = this.at("colouring").value;
      if (how === "stage") return data.stages.colour[stage];
      if (how === "layer") return shade(this.lastLayer ? data.stages.layer[stage] / this.lastLayer : 0);
      if (how === "start") return shade((shown.start[i] - data.start) / Math.max(1, data.end - data.start));
      return colour("arrays");
    }

    drawPieces() {
      const canvas = this.at("pieces"), data = this.data, shown = this.shown;
      const room = canvas.clientWidth || 300;
      this.lastLayer = data.stages.layer.reduce((most, layer) => Math.max(most, layer), 0);
      const ratio = Math.max(0.3, Math.min(1.4, data.rows / data.cols));
      const [context, width, height] = prepare(canvas, room * ratio);
      this.across = width / data.cols;
      this.down = height / data.rows;
      context.fillStyle = colour("empty");
      context.fillRect(0, 0, width, height);
      if (!shown) {
        this.at("pieces-legend").replaceChildren();
        prepare(this.at("firings"), 34);
        this.at("firings-axis").textContent = "";
        this.at("pieces-status").textContent = "This page holds the pieces of " + this.embedded.length + " of " + data.count + " arrays; this one is not among them.";
        return;
      }
      context.strokeStyle = colour("paper");
      context.lineWidth = shown.count > 300 ? 0.4 : 0.8;
      for (let i = 0; i < shown.count; i++) {
        context.fillStyle = this.colourOf(i);
        const box = this.box(i);
        context.fillRect(...box);
        context.strokeRect(...box);
      }
      context.strokeStyle = colour("faint");
      context.lineWidth = 1;
      context.strokeRect(0.5, 0.5, width - 1, height - 1);
      if (this.piece >= 0) this.mark(context);
      this.drawFirings();
      this.drawLegend();
      this.at("pieces-status").textContent = this.piece >= 0 ? this.describe(this.piece) : "Point at a piece, or use the arrow keys, to see what it is and what fires with it.";
    }

    box(i) {
      const shown = this.shown;
      return [shown.array_col[i] * this.across, shown.array_row[i] * this.down, shown.cols[i] * this.data.width * this.across, shown.rows[i] * this.down];
    }

    /* Outlines the piece and all that fire with it: on one array, those that start together. */
    mark(context) {
      const start = this.shown.start[this.piece];
      context.strokeStyle = colour("ink");
      context.lineWidth = 1.6;
      for (let i = 0; i < this.shown.count; i++) if (this.shown.start[i] === start) context.strokeRect(...this.box(i));
      context.strokeStyle = colour("bound");
      context.lineWidth = 3;
      context.strokeRect(...this.box(this.piece));
    }

    point(i) {
      if (i === this.piece || !this.shown) return;
      this.piece = i;
      this.drawPieces();
    }

    pieceAt(event) {
      if (!this.shown) return -1;
      const x = event.offsetX / this.across, y = event.offsetY / this.down, shown = this.shown, width = this.data.width;
      for (let i = 0; i < shown.count; i++) {
        if (x >= shown.array_col[i] && x < shown.array_col[i] + shown.cols[i] * width && y >= shown.array_row[i] && y < shown.array_row[i] + shown.rows[i]) return i;
      }
      return -1;
    }

    time(cycles) {
      const ns = cycles * this.data.clock_ns;
      return ns >= 1e6 ? number(ns / 1e6) + " ms" : ns >= 1e3 ? number(ns / 1e3) + " µs" : number(ns) + " ns";
    }

    describe(i) {
      if (i < 0 || !this.shown) return "";
      const shown = this.shown, data = this.data, factor = shown.factor[i], factors = data.factors, stage = factors.stage[factor];
      const kind = factors.kind[factor] === "dense" ? "dense matrix" : "factor " + factors.kind[factor] + ", block " + shown.block[i] + " of " + factors.blocks[factor];
      let others = -1;
      for (let j = 0; j < shown.count; j++) if (shown.start[j] === shown.start[i]) others++;
      return factors.linear[factor] + "\n" + kind + " (" + factors.block_rows[factor] + " × " + factors.block_cols[factor] + "): rows " +
        span(shown.row0[i], shown.rows[i]) + ", columns " + span(shown.col0[i], shown.cols[i]) + "\n" +
        "stage " + data.stages.name[stage] + ", layer " + data.stages.layer[stage] + "\n" +
        "on array " + this.table.number[this.chosen] + ": rows " + span(shown.array_row[i], shown.rows[i]) + ", physical columns " + span(shown.array_col[i], shown.cols[i] * data.width) + "\n" +
        "fires from " + this.time(shown.start[i]) + " to " + this.time(shown.end[i]) + (others ? ", together with " + plural(others, "other piece") : ", alone");
    }

    drawFirings() {
      const [context, width, height] = prepare(this.at("firings"), 34), data = this.data, shown = this.shown;
      const scale = width / Math.max(1, data.end - data.start);
      context.strokeStyle = colour("grid");
      context.lineWidth = 1;
      context.beginPath();
      for (let x = -height; x < width; x += 5) { context.moveTo(x, height); context.lineTo(x + height, 0); }
      context.stroke();
      for (let i = 0; i < shown.count; i++) {
        context.fillStyle = this.colourOf(i);
        context.fillRect((shown.start[i] - data.start) * scale, 6, Math.max(0.6, (shown.end[i] - shown.start[i]) * scale), height - 12);
      }
      if (this.piece >= 0) {
        context.fillStyle = colour("bound");
        context.fillRect((shown.start[this.piece] - data.start) * scale, 0, Math.max(2, (shown.end[this.piece] - shown.start[this.piece]) * scale), height);
      }
      this.at("firings-axis").textContent = "when this array fires in a token's pass, " + this.time(data.start) + " to " + this.time(data.end) + "; hatched: idle";
    }

    firingAt(event) {
      if (!this.shown) return -1;
      const data = this.data, shown = this.shown, width = this.at("firings").clientWidth;
      const cycle = data.start + (event.offsetX / width) * (data.end - data.start);
      const slack = (2 * (data.end - data.start)) / width;
      let best = -1, nearest = slack;
      for (let i = 0; i < shown.count; i++) {
        const off = Math.max(shown.start[i] - cycle, cycle - shown.end[i], 0);
        if (off < nearest || (off === 0 && best < 0)) { best = i; nearest = off; }
      }
      return best;
    }

    drawLegend() {
      const legend = this.at("pieces-legend"), data = this.data, how = this.at("colouring").value;
      if (how === "layer") ramp(legend, "layer 0", "layer " + this.lastLayer, "");
      else if (how === "start") ramp(legend, this.time(data.start), this.time(data.end), "");
      else legend.replaceChildren(...(how === "stage" ? data.legend : [{ label: "occupied", colour: colour("arrays") }]).map(swatched));
      legend.append(swatched({ label: "empty cells", colour: colour("empty") }));
    }

    listPieces() {
      const room = this.at("rows"), details = this.at("list"), shown = this.shown;
      details.hidden = !shown;
      room.replaceChildren();
      if (!details.open || !shown) return;
      const table = element("table"), head = element("tr"), factors = this.data.factors;
      for (const title of ["linear", "factor", "block", "array rows", "physical columns", "stage", "fires from", "to"]) head.append(Object.assign(element("th", title), { scope: "col" }));
      const body = element("tbody");
      for (let i = 0; i < Math.min(LISTED, shown.count); i++) {
        const f = shown.factor[i], row = element("tr");
        const cells = [factors.linear[f], factors.kind[f], shown.block[i], span(shown.array_row[i], shown.rows[i]), span(shown.array_col[i], shown.cols[i] * this.data.width),
          this.data.stages.name[factors.stage[f]], this.time(shown.start[i]), this.time(shown.end[i])];
        row.append(...cells.map((cell) => element("td", cell)));
        body.append(row);
      }
      const top = element("thead");
      top.append(head);
      table.append(top, body);
      room.append(table);
      if (shown.count > LISTED) room.append(element("p", "The first " + LISTED + " of " + shown.count + " pieces, in order of firing."));
    }

    redraw() {
      if (!this.table) return;
      this.drawField();
      this.drawPieces();
    }
  }

  const span = (first, count) => (count === 1 ? String(first) : first + "–" + (first + count - 1));
  const redraw = () => explorers.forEach((explorer) => explorer.redraw());
  const printing = (on) => {
    document.documentElement.classList.toggle("printing", on);
    document.querySelectorAll(".asked").forEach((details) => { details.open = on; });
    redraw();
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("print").addEventListener("change", (event) => printing(event.matches));
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
  addEventListener("keydown", (event) => { if (event.key === "Escape") showTip(null, ""); });
  let later = 0;
  addEventListener("resize", () => { clearTimeout(later); later = setTimeout(() => { redraw(); markWider(); }, 120); });

  /* One after another once the page stands, so that pages of many solutions open as fast as those of one. */
  async function openAll() {
    markWider();
    for (const root of document.querySelectorAll(".explorer")) {
      const explorer = new Explorer(root);
      try {
        await explorer.start();
        explorers.push(explorer);
      } catch (error) {
        root.append(element("p", "The map cannot be shown: " + error.message));
        console.error(error);
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
  addEventListener("load", openAll);
})();
