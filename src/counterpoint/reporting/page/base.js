// Draws the page's charts and its table of systems from the JSON in #data.
//
// axes: [{name, short, values}]; systems: [{label, status, at}], `at` the place of its value on each
// axis, recipes and baselines then and without; imported logs last, with the `axes` that they were given,
// `further` ones, and how many queries they `asked` by split and protocol; settings: systems that differ in the seed alone; where: [[split,
// protocol, task]]; scores: name to [place in where][system]; means: the same over seeds, name to
// [place in where][place in settings]; curves: epoch logs, by column. Numbers are in units of
// 1 / scale, null where there is none. This file and its siblings are one function (build.py).
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const MISSING = "–";
  const TASKS = {
    epa: "epa: all arguments", epc: "epc: all counters", sta: "sta: theme, arguments",
    stc: "stc: theme, counters", sda: "sda: debate, arguments", sdc: "sdc: debate, counters",
    sdoa: "sdoa: debate, opposing arguments", sdoc: "sdoc: debate, opposing counters",
  };
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x"];
  const PATTERNS = ["", "/", "x", "."];
  const SPLITS = ["train", "dev", "test"];

  const cells = data.systems.flatMap((system, place) => (system.at ? [place] : []));
  const imported = data.systems.flatMap((system, place) => (system.status === "imported" ? [place] : []));
  const baselines = data.systems.flatMap((system, place) => (system.at || system.status === "imported" ? [] : [place]));
  const axisPlace = Object.fromEntries(data.axes.map((axis, place) => [axis.name, place]));
  const trained = (system) => !["failed", "missing"].includes(data.systems[system].status);
  const reference = data.best ?? cells.find(trained) ?? cells[0];
  const anyTrained = cells.some(trained);
  const word = (value) => (value === null ? "none" : String(value));
  const protocolWord = (name) => (data.leaks.includes(name) ? `${name} (leaks the answer)` : name);
  const unique = (values) => [...new Set(values)];

  // --- scores ---

  const placeOf = (split, protocol, task) =>
    data.where.findIndex((own) => own[0] === split && own[1] === protocol && own[2] === task);

  const inPercent = (value) => (value === null || value === undefined ? null : (100 * value) / data.scale);
  // In %, or null.
  const percent = (name, place, system) => (place < 0 ? null : inPercent(data.scores[name][place][system]));

  const shown = (value, digits = data.decimals) =>
    value === null || value === undefined ? MISSING : value.toFixed(digits).replace("-", "−");
  const signed = (value) => (value > 0 ? "+" : "") + shown(value);
  const range = (score) =>
    score.low === null ? MISSING : `${shown(score.low)}–${shown(score.high)}`;

  // A setting's score: of one seed with its interval over debates, of several their mean, with a
  // t interval over seeds; nothing where a seed is missing.
  const settingOf = new Map(data.settings.flatMap((group, setting) => group.map((system) => [system, setting])));
  function scoreOf(group, place, name = "value") {
    if (!group.length) return { value: null, low: null, high: null };
    const [numbers, at] = group.length === 1 ? [data.scores, group[0]] : [data.means, settingOf.get(group[0])];
    const of = (column) => (place < 0 ? null : inPercent(numbers[column][place][at]));
    if (name !== "value") return { value: of(name), low: null, high: null };
    return { value: of("value"), low: of("low"), high: of("high") };
  }

  // Cells that differ in the seed alone.
  function settings(systems) {
    const groups = new Map();
    for (const system of systems) {
      const key = data.systems[system].at.filter((_, axis) => axis !== axisPlace.seed).join();
      groups.set(key, [...(groups.get(key) ?? []), system]);
    }
    return [...groups.values()];
  }

  const on = (system, axis) => data.axes[axisPlace[axis]].values[data.systems[system].at[axisPlace[axis]]];

  // What a cell has on all axes but some, as a key and in words.
  const besides = (system, left) =>
    data.axes
      .filter((axis) => !left.includes(axis.name) && axis.name !== "seed")
      .filter((axis) => axis.values.length > 1 || axis.name in { decrease_rate: 1, initial_random_rate: 1 })
      .map((axis) => `${axis.short} ${word(on(system, axis.name))}`)
      .join(", ");

  // --- the page ---

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // Labelled selects; calls back with the chosen values, which are in the state that it returns.
  // A choice of one is made without asking.
  function controls(id, choices, changed) {
    const state = {};
    const holder = document.getElementById(id);
    for (const { key, label, options, value } of choices) {
      state[key] = options.some(([own]) => own === value) ? value : options[0]?.[0];
      if (options.length < 2) continue;
      const select = element("select", { name: key });
      options.forEach(([own, text], place) =>
        select.append(element("option", { value: String(place), textContent: text, selected: own === state[key] })));
      select.addEventListener("change", () => {
        state[key] = options[Number(select.value)][0];
        changed();
      });
      holder.append(element("label", { textContent: label }, select));
    }
    return state;
  }

  const bestSplit = data.held_out.includes("test") ? "test" : "dev";
  const placesOf = (index, order) =>
    order.filter((own) => data.where.some((where) => where[index] === own));
  const splitChoice = (splits = SPLITS) => ({
    key: "split", label: "split", value: bestSplit, options: placesOf(0, splits).map((own) => [own, own]),
  });
  const protocolChoice = () => ({
    key: "protocol", label: "protocol", value: "clean",
    options: placesOf(1, data.protocols).map((own) => [own, protocolWord(own)]),
  });
  const taskChoice = () => ({
    key: "task", label: "task", value: "epa",
    options: placesOf(2, Object.keys(TASKS)).map((own) => [own, TASKS[own]]),
  });
  // A seed, or null for the mean: that of the best cell where it has all its seeds.
  function seedChoice() {
    const { values } = data.axes[axisPlace.seed];
    const own = settings(cells).find((group) => group.includes(reference));
    return {
      key: "seed", label: "seed", value: own.length > 1 && own.every(trained) ? null : on(reference, "seed"),
      options: [...(values.length > 1 ? [[null, "mean over seeds"]] : []), ...values.map((value) => [value, word(value)])],
    };
  }
  const ofSeed = (system, state) => state.seed === null || on(system, "seed") === state.seed;
  const seedWord = (state) => (data.axes[axisPlace.seed].values.length < 2 ? "" : state.seed === null ? ", mean over seeds" : `, seed ${state.seed}`);
  const chosenPlace = (state) => placeOf(state.split, state.protocol, state.task);
  const under = (state) => `${state.split}, ${protocolWord(state.protocol)}, ${state.task}`;

  // --- charts ---

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (number) => css(`--s${number % 6}`);
  const redraws = [];
  // Pixels between the margins of A4, which page.css sets.
  const PAPER = 680;

  function template() {
    const axis = { gridcolor: css("--line"), linecolor: css("--soft"), zerolinecolor: css("--line"), automargin: true, fixedrange: true };
    return {
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: "system-ui, sans-serif", size: 13, color: css("--text") },
        xaxis: axis, yaxis: axis,
        legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
        hoverlabel: { bgcolor: css("--raised"), bordercolor: css("--line"), font: { color: css("--text") } },
        colorway: [0, 1, 2, 3, 4, 5].map(colour),
      },
    };
  }

  // A chart with its sentence and its table. `make` gives {traces, layout, says, head, rows}, or
  // {says} alone where there is nothing to draw.
  function chart(id, make) {
    const node = document.getElementById(id);
    const details = document.getElementById(`${id}-data`);
    let made = {};
    const fill = () => {
      if (!details.open || !made.traces) return;
      details.querySelector(".scroll")?.remove();
      const table = element("table");
      table.append(element("thead", {}, element("tr", {}, ...made.head.map((text) => element("th", { scope: "col", textContent: text })))));
      table.append(element("tbody", {}, ...made.rows.map((row) => element("tr", {}, ...row.map((value, place) =>
        place === 0 ? element("th", { scope: "row", textContent: value }) : element("td", { className: "number", textContent: value }))))));
      const scroll = element("div", { className: "scroll", tabIndex: 0 }, table);
      scroll.setAttribute("role", "region");
      scroll.setAttribute("aria-label", "The chart's scores");
      details.append(scroll);
    };
    const draw = () => {
      made = make();
      document.getElementById(`${id}-says`).textContent = made.says;
      node.setAttribute("aria-label", made.says);
      node.classList.toggle("empty", !made.traces);
      details.hidden = !made.traces;
      if (!made.traces) return;
      const printing = document.documentElement.classList.contains("printing");
      const width = printing ? PAPER : undefined;
      // On paper two to a page. A narrow legend has a line for each trace.
      const height = (made.layout.height ?? 420) * (printing ? 0.75 : 1) + (narrow() ? 18 * made.traces.length : 0);
      const layout = { template: template(), margin: { l: 56, r: 24, t: 12, b: 52 }, dragmode: false, hovermode: "closest", ...made.layout, width, height };
      Plotly.react(node, made.traces, layout, { responsive: true, displayModeBar: false });
      fill();
    };
    details.addEventListener("toggle", fill);
    redraws.push(draw);
    draw();
    return draw;
  }

  const NOTHING = { says: "No cell has been trained yet." };
  const narrow = () => window.innerWidth < 600;
  const line = (number, more = {}) => ({
    type: "scatter", mode: "lines+markers",
    line: { color: colour(number), dash: DASHES[number % 6], width: 2 },
    marker: { color: colour(number), symbol: SYMBOLS[number % 6], size: 8 },
    ...more,
  });

  const pattern = (number) => ({ shape: PATTERNS[number], fillmode: "overlay", fgcolor: css("--page"), fgopacity: 1, solidity: 0.2, size: 7 });
  // The two ends of error bars; not-a-number, which is not drawn, where there is no interval.
  const ends = (scores) => ({
    type: "data", symmetric: false, thickness: 1.2, width: 4,
    array: scores.map(({ value, high }) => (high === null ? NaN : high - value)),
    arrayminus: scores.map(({ value, low }) => (low === null ? NaN : value - low)),
  });

