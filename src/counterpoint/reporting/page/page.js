// Draws the page's charts and its table of systems from the JSON in #data.
//
// axes: [{name, short, values}]; systems: [{label, status, at}], `at` the place of its value on each
// axis, baselines last and without; where: [[split, protocol, task]]; figures: name to
// [place in where][system]; courses: epoch logs, by column. Numbers are in units of 1 / scale, null
// where there is none.
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
  const baselines = data.systems.flatMap((system, place) => (system.at ? [] : [place]));
  const axisPlace = Object.fromEntries(data.axes.map((axis, place) => [axis.name, place]));
  const trained = (system) => !["failed", "missing"].includes(data.systems[system].status);
  const reference = data.best ?? cells.find(trained) ?? cells[0];
  const anyTrained = cells.some(trained);
  const word = (value) => (value === null ? "none" : String(value));
  const protocolWord = (name) => (name === data.leaks ? `${name} (leaks the answer)` : name);
  const unique = (values) => [...new Set(values)];

  // --- figures ---

  const placeOf = (split, protocol, task) =>
    data.where.findIndex((own) => own[0] === split && own[1] === protocol && own[2] === task);

  // In %, or null.
  function percent(name, place, system) {
    const value = place < 0 ? null : data.figures[name][place][system];
    return value === null ? null : (100 * value) / data.scale;
  }

  const shown = (value, digits = data.decimals) =>
    value === null || value === undefined ? MISSING : value.toFixed(digits).replace("-", "−");
  const signed = (value) => (value > 0 ? "+" : "") + shown(value);
  const range = (figure) =>
    figure.low === null ? MISSING : `${shown(figure.low)}–${shown(figure.high)}`;

  // A setting's figure: of one seed with its interval over debates, of several their mean, with a
  // t interval over seeds; nothing where a seed is missing.
  function figureOf(group, place, name = "value") {
    const values = group.map((system) => percent(name, place, system));
    if (!values.length || values.includes(null)) return { value: null, low: null, high: null };
    if (values.length === 1) {
      if (name !== "value") return { value: values[0], low: null, high: null };
      return { value: values[0], low: percent("low", place, group[0]), high: percent("high", place, group[0]) };
    }
    const n = values.length;
    const mean = values.reduce((sum, value) => sum + value, 0) / n;
    const sd = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
    const reach = data.reach[n] === undefined ? null : data.reach[n] * sd;
    return { value: mean, low: reach === null ? null : mean - reach, high: reach === null ? null : mean + reach };
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
      scroll.setAttribute("aria-label", "The chart's figures");
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
  const ends = (figures) => ({
    type: "data", symmetric: false, thickness: 1.2, width: 4,
    array: figures.map(({ value, high }) => (high === null ? NaN : high - value)),
    arrayminus: figures.map(({ value, low }) => (low === null ? NaN : value - low)),
  });

  // --- comparison ---

  function comparison() {
    const body = element("tbody");
    const filtered = data.axes.filter((axis) => axis.values.length > 1);
    const columns = data.axes.filter((axis) => ["fusion", "head", "decrease_rate"].includes(axis.name) || axis.values.length > 1);
    const several = data.axes[axisPlace.seed].values.length > 1;
    const sorting = { column: null, down: true };
    const figures = [
      { key: "value", label: "accuracy@1" }, { key: "range", label: "95 %" }, { key: "first", label: "first stage" },
      { key: "ceiling", label: "recall@10" }, { key: "mrr", label: "MRR" }, { key: "ndcg", label: "nDCG@10" },
    ];
    const headings = [
      ...columns.map((axis, place) => ({ key: axis.name, label: place ? axis.short : `${axis.short} or baseline` })),
      ...figures,
    ];
    const state = controls("table-controls", [
      splitChoice(), protocolChoice(), taskChoice(),
      { key: "systems", label: "systems", value: "trained", options: [
        ["trained", "trained cells and baselines"], ["cells", "trained cells"], ["baselines", "baselines"], ["all", "all planned cells"]] },
      ...(several ? [{ key: "seeds", label: "seeds", value: "each", options: [["each", "each for itself"], ["mean", "their mean"]] }] : []),
      ...filtered.map((axis) => ({ key: `axis ${axis.name}`, label: axis.short, value: null,
        options: [[null, "all"], ...axis.values.map((value, place) => [place, word(value)])] })),
    ], fill);

    function rowOf(group, place) {
      const system = data.systems[group[0]];
      const figure = figureOf(group, place);
      const row = { group, system, value: figure.value, range: figure.low === null ? null : figure.high - figure.low, text: range(figure) };
      for (const name of ["first", "ceiling", "mrr", "ndcg"]) row[name] = figureOf(group, place, name).value;
      columns.forEach((axis) => { row[axis.name] = system.at ? on(group[0], axis.name) : null; });
      if (!system.at) row[columns[0].name] = system.label;
      if (group.length > 1) row.seed = `mean of ${group.length}`;
      return row;
    }

    function rows() {
      const kept = cells.filter((system) =>
        (state.systems === "all" || trained(system)) && state.systems !== "baselines" &&
        filtered.every((axis) => {
          const chosen = state[`axis ${axis.name}`];
          return chosen === null || data.systems[system].at[axisPlace[axis.name]] === chosen;
        }));
      // A mean is over the planned seeds, so that one that is missing makes it a dash.
      const keptKeys = new Set(kept);
      const groups = state.seeds === "mean"
        ? settings(cells).filter((group) => group.some((system) => keptKeys.has(system)))
        : kept.map((system) => [system]);
      if (["trained", "baselines"].includes(state.systems)) groups.push(...baselines.map((system) => [system]));
      return groups.map((group) => rowOf(group, chosenPlace(state)));
    }

    const compare = (a, b) =>
      typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

    function sorted(all) {
      const { column, down } = sorting;
      return all.sort((one, other) => {
        const [a, b] = [one[column], other[column]];
        if (a === null || b === null) return (a === null) - (b === null);
        return down ? compare(b, a) : compare(a, b);
      });
    }

    function cellOf(row, heading, place) {
      const value = row[heading.key];
      if (place === 0) {
        const cell = element("th", { scope: "row", textContent: word(value) });
        if (row.group.includes(data.best)) cell.append(" ", element("span", { className: "mark", textContent: "best on dev" }));
        return cell;
      }
      if (columns.some((axis) => axis.name === heading.key)) {
        return element("td", { textContent: row.system.at ? word(value) : MISSING });
      }
      if (heading.key === "range") return element("td", { className: "number", textContent: row.text });
      const state = row.group.map((system) => data.systems[system].status).find((status) => ["failed", "missing"].includes(status));
      const text = shown(value) + (heading.key === "value" && value === null && state ? ` (${state})` : "");
      return element("td", { className: "number", textContent: text });
    }

    function fill() {
      const found = sorted(rows());
      body.replaceChildren(...found.map((row) => {
        const made = element("tr", {}, ...headings.map((heading, place) => cellOf(row, heading, place)));
        if (row.group.includes(data.best)) made.className = "best";
        else if (!row.system.at) made.className = "baseline";
        return made;
      }));
      const place = chosenPlace(state);
      document.getElementById("table-says").textContent = !data.where.length ? "There are no figures yet." : place < 0
        ? `Nothing was measured under ${under(state)}.`
        : `${found.length} systems; ${under(state)}; ${data.n[place].toLocaleString("en")} queries; in %.`;
    }

    const heads = headings.map((heading) => {
      const button = element("button", { type: "button", textContent: heading.label });
      const head = element("th", { scope: "col", className: figures.includes(heading) ? "number" : "" }, button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sortBy(heading));
      return head;
    });

    function sortBy(heading) {
      sorting.down = sorting.column === heading.key ? !sorting.down : figures.includes(heading);
      sorting.column = heading.key;
      heads.forEach((head, place) => head.setAttribute("aria-sort",
        headings[place] !== heading ? "none" : sorting.down ? "descending" : "ascending"));
      fill();
    }

    document.getElementById("table").append(
      element("caption", { textContent: "Accuracy and other figures of all systems" }),
      element("thead", {}, element("tr", {}, ...heads)), body);
    sortBy(figures[0]);
  }

  // --- fusion × head ---

  function heat() {
    if (!anyTrained) return chart("heat", () => NOTHING);
    const left = ["fusion", "head"];
    const rates = unique(cells.map((system) => besides(system, left)));
    let draw = () => {};
    const state = controls("heat-controls", [
      { key: "rate", label: "rate", value: besides(reference, left), options: rates.map((own) => [own, own]) },
      seedChoice(), splitChoice(), protocolChoice(), taskChoice(),
    ], () => draw());
    draw = chart("heat", () => {
      const place = chosenPlace(state);
      const groups = settings(cells.filter((system) => ofSeed(system, state) && besides(system, left) === state.rate));
      const [fusions, heads] = left.map((axis) => data.axes[axisPlace[axis]].values);
      const groupAt = (fusion, head) => groups.find((group) => on(group[0], "fusion") === fusion && on(group[0], "head") === head);
      const grid = fusions.map((fusion) => heads.map((head) => figureOf(groupAt(fusion, head) ?? [], place).value));
      const isBest = (fusion, head) => (groupAt(fusion, head) ?? []).includes(data.best);
      const text = grid.map((row, i) => row.map((value, j) => {
        if (value === null) return "";
        return isBest(fusions[i], heads[j]) ? `<b>${shown(value)}</b><br>${narrow() ? "best" : "best on dev"}` : shown(value);
      }));
      const dashes = grid.flatMap((row, i) => row.flatMap((value, j) => {
        const why = groupAt(fusions[i], heads[j])?.map((system) => data.systems[system].status).find((status) => status === "failed");
        return value === null ? [{ x: heads[j], y: fusions[i], text: why ? `${MISSING}<br>${why}` : MISSING, showarrow: false }] : [];
      }));
      const all = grid.flat().filter((value) => value !== null);
      const says = all.length
        ? `${state.rate}${seedWord(state)}; ${under(state)}: ${all.length} of ${grid.flat().length} combinations have a figure, from ${shown(Math.min(...all))} to ${shown(Math.max(...all))} %.`
        : `${state.rate}${seedWord(state)}; ${under(state)}: no combination has a figure.`;
      return {
        says,
        traces: [{
          type: "heatmap", x: heads, y: fusions, z: grid, text, texttemplate: "%{text}", xgap: 3, ygap: 3,
          colorscale: [[0, css("--low")], [1, css("--high")]], textfont: { size: narrow() ? 12 : 15, color: css("--text") },
          hovertemplate: "%{y}, %{x}: %{z:.1f} %<extra></extra>", showscale: !narrow(), colorbar: { title: { text: "%" }, outlinewidth: 0 },
        }],
        layout: {
          height: 110 + 80 * fusions.length, annotations: dashes,
          xaxis: { type: "category", title: { text: "head" }, showgrid: false, range: [-0.5, heads.length - 0.5] },
          yaxis: { type: "category", autorange: false, range: [fusions.length - 0.5, -0.5], showgrid: false },
        },
        head: ["fusion", ...heads],
        rows: fusions.map((fusion, i) => [fusion, ...grid[i].map((value) => shown(value))]),
      };
    });
  }

  // --- decrease rate ---

  function rates() {
    if (!anyTrained) return chart("rate", () => NOTHING);
    const left = ["fusion", "head", "decrease_rate"];
    const [fusions, heads] = ["fusion", "head"].map((axis) => data.axes[axisPlace[axis]].values);
    const others = unique(cells.map((system) => besides(system, left)));
    const views = [
      ...heads.map((head) => [`head ${head}`, `fusions, with head ${head}`, "fusion", (system) => on(system, "head") === head]),
      ...fusions.map((fusion) => [`fusion ${fusion}`, `heads, with fusion ${fusion}`, "head", (system) => on(system, "fusion") === fusion]),
    ];
    let draw = () => {};
    const state = controls("rate-controls", [
      { key: "view", label: "compare", value: `head ${on(reference, "head")}`, options: views.map(([key, label]) => [key, label]) },
      { key: "others", label: "with", value: besides(reference, left), options: others.map((own) => [own, own]) },
      seedChoice(), splitChoice(), protocolChoice(), taskChoice(),
    ], () => draw());
    draw = chart("rate", () => {
      const place = chosenPlace(state);
      const [, label, axis, keeps] = views.find(([key]) => key === state.view);
      const groups = settings(cells.filter((system) => ofSeed(system, state) && keeps(system) && besides(system, left) === state.others));
      const at = unique(groups.map((group) => on(group[0], "decrease_rate"))).sort((a, b) => a - b);
      const step = at.length > 1 ? Math.min(...at.slice(1).map((value, i) => value - at[i])) : 0.005;
      const values = data.axes[axisPlace[axis]].values;
      const rows = [];
      const traces = values.flatMap((value, number) => {
        const points = groups.filter((group) => on(group[0], axis) === value)
          .map((group) => ({ x: on(group[0], "decrease_rate"), ...figureOf(group, place) }))
          .sort((a, b) => a.x - b.x);
        points.forEach((point) => rows.push([`${word(value)}, δ ${point.x}`, shown(point.value), range(point)]));
        if (points.every((point) => point.value === null)) return [];
        return [line(number, {
          name: word(value), connectgaps: false,
          // Side by side, so that the intervals do not hide each other.
          x: points.map((point) => point.x + step * 0.08 * (number - (values.length - 1) / 2)),
          y: points.map((point) => point.value), customdata: points.map((point) => [point.x, range(point)]),
          error_y: ends(points),
          hovertemplate: `${word(value)}, δ %{customdata[0]}: %{y:.1f} % (%{customdata[1]})<extra></extra>`,
        })];
      });
      const says = `${label}, ${state.others}${seedWord(state)}; ${under(state)}`;
      if (!traces.length) return { says: `${says}: no figure.` };
      const base = data.baseline === null ? null : percent("value", place, data.baseline);
      if (base !== null) {
        const name = `baseline ${data.systems[data.baseline].label}`;
        traces.push({ type: "scatter", mode: "lines", name, x: [at[0] - step / 3, at.at(-1) + step / 3], y: [base, base],
          line: { color: css("--soft"), dash: "longdashdot", width: 1.5 }, hovertemplate: `${name}: %{y:.1f} %<extra></extra>` });
        rows.push([name, shown(base), MISSING]);
      }
      return {
        says: `${says}: ${rows.filter((row) => row[1] !== MISSING).length} figures${base === null ? "" : `; the best baseline has ${shown(base)} %`}.`,
        traces,
        layout: {
          xaxis: { title: { text: "δ, decrease of the random rate an epoch" }, range: [at[0] - step / 2, at.at(-1) + step / 2], tickvals: at, ticktext: at.map(String), tickangle: narrow() ? -60 : 0 },
          yaxis: { title: { text: "accuracy@1 (%)" } },
        },
        head: [`${axis}, δ`, "accuracy@1", "95 %"],
        rows,
      };
    });
  }

  // --- epoch by epoch ---

  function courses() {
    const draws = [];
    const start = data.courses.findIndex((course) => course.system === data.best && data.best !== null);
    const state = controls("course-controls", [
      { key: "course", label: "cell", value: Math.max(0, start), options: data.courses.map((course, place) => [place, course.label]) },
    ], () => draws.forEach((draw) => draw()));
    const none = { says: data.courses.length ? "This log has no such figures." : NOTHING.says };
    const unit = (column, factor) => column.map((value) => (value === null ? null : (factor * value) / data.scale));

    // Lines against epoch, with the random rate at the right and the best epoch marked.
    function over(course, series, title, digits) {
      const epochs = course.epochs;
      const traces = series.map(({ name, values, look, dash }, number) => ({
        ...line(look ?? number), name, x: epochs, y: values,
        line: { color: colour(look ?? number), dash: dash ?? DASHES[number % 6], width: 1.8 },
        // A marker on some epochs only, or it would hide the line.
        marker: { symbol: SYMBOLS[number % 6], size: 7, maxdisplayed: 15, color: colour(look ?? number) },
        hovertemplate: `${name}, epoch %{x}: %{y:.${digits}f}<extra></extra>`,
      }));
      const rate = course.columns.rate && unit(course.columns.rate, 1);
      if (rate) {
        traces.push({ type: "scatter", mode: "lines", name: "random rate (right)", x: epochs, y: rate, yaxis: "y2",
          line: { color: css("--soft"), dash: "dot", width: 1.5 }, hovertemplate: "random rate, epoch %{x}: %{y:.3f}<extra></extra>" });
      }
      const best = course.best === null ? {} : {
        shapes: [{ type: "line", x0: course.best, x1: course.best, y0: 0, y1: 1, yref: "paper", line: { color: css("--soft"), width: 1 } }],
        annotations: [{ x: course.best, y: 1, yref: "paper", xanchor: "left", yanchor: "top", showarrow: false, text: ` best epoch, ${course.best}`, font: { color: css("--soft") } }],
      };
      return {
        traces,
        layout: {
          ...best, height: 400, margin: { l: 56, r: 52, t: 12, b: 52 },
          xaxis: { title: { text: "epoch" }, zeroline: false }, yaxis: { title: { text: title } },
          yaxis2: { overlaying: "y", side: "right", range: [0, 1.04], tickmode: "linear", tick0: 0, dtick: 0.2, showgrid: false, zeroline: false, fixedrange: true, title: { text: "random rate" }, tickfont: { color: css("--soft") } },
        },
        head: ["epoch", ...series.map(({ name }) => name), ...(rate ? ["random rate"] : [])],
        rows: epochs.map((epoch, place) => [String(epoch), ...series.map(({ values }) => shown(values[place], digits)), ...(rate ? [shown(rate[place], 3)] : [])]),
      };
    }

    const spread = (values) => {
      const there = values.filter((value) => value !== null);
      return there.length ? [there[0], Math.max(...there), there.at(-1)] : null;
    };

    const accuracyState = controls("accuracy-controls", [
      { key: "protocol", label: "protocol of dev and test", value: "clean", options: placesOf(1, ["clean", "official"]).map((own) => [own, own]) },
    ], () => accuracy());
    const accuracy = chart("accuracy", () => {
      const course = data.courses[state.course];
      if (!course) return none;
      const series = SPLITS.flatMap((split, look) => {
        const asked = split === "train" ? ["official"] : [accuracyState.protocol ?? "clean"];
        const protocol = [...asked, ...(course.system === null ? [data.leaks] : [])].find((own) => course.columns[`accuracy/${split}/${own}`]);
        if (!protocol) return [];
        return [{ name: `${split} (${protocol === data.leaks ? `${protocol}, leaks` : protocol})`, values: unit(course.columns[`accuracy/${split}/${protocol}`], 100), look }];
      });
      if (!series.length) return none;
      const parts = series.flatMap(({ name, values }) => {
        const found = spread(values);
        return found ? [`${name} ${shown(found[0])} % at first, ${shown(found[1])} at best, ${shown(found[2])} at last`] : [];
      });
      return { says: `${course.label}: ${parts.join("; ")}.`, ...over(course, series, "accuracy@1 (%)", data.decimals) };
    });
    const logged = SPLITS.filter((split) => data.courses.some((course) => course.columns[`loss/${split}/retrieval`]));
    const lossState = controls("loss-controls", [
      { key: "splits", label: "splits", value: "train, dev", options: unique(["train, dev", ...logged]).map((own) => [own, own.replace(",", " and")]) },
    ], () => loss());
    const loss = chart("loss", () => {
      const course = data.courses[state.course];
      const terms = ["retrieval", "counter", "negative"];
      const series = !course ? [] : terms.flatMap((term, look) => lossState.splits.split(", ").flatMap((split) => {
        const column = course.columns[`loss/${split}/${term}`];
        return column ? [{ name: `${term}, ${split}`, values: unit(column, 1), look, dash: ["solid", "dash", "dot"][SPLITS.indexOf(split)] }] : [];
      }));
      if (!series.length) return none;
      const parts = series.map(({ name, values }) => `${name} from ${shown(spread(values)[0], 3)} to ${shown(spread(values)[2], 3)}`);
      return { says: `${course.label}: ${parts.join("; ")}.`, ...over(course, series, "loss", 3) };
    });
    const negatives = chart("negatives", () => {
      const course = data.courses[state.course];
      if (!course || !course.negatives.random) return none;
      const kinds = [["random", "random"], ["hard_counter", "hard counter"], ["hard_point", "hard point"]].filter(([key]) => course.negatives[key]);
      const total = course.epochs.map((_, place) => kinds.reduce((sum, [key]) => sum + (course.negatives[key][place] ?? 0), 0));
      const share = (key) => course.negatives[key].map((count, place) => (total[place] ? (100 * count) / total[place] : null));
      const traces = kinds.map(([key, name], number) => ({
        type: "bar", name, x: course.epochs, y: share(key),
        marker: { color: colour(number), line: { width: 0 }, pattern: pattern(number) },
        hovertemplate: `${name}, epoch %{x}: %{y:.1f} %<extra></extra>`,
      }));
      const same = course.negatives.same_debate;
      if (same) {
        const over = { type: "scatter", mode: "lines", x: course.epochs, y: share("same_debate") };
        // On a wider line in the page's colour, to be seen on every pattern.
        traces.push({ ...over, line: { color: css("--page"), width: 6 }, showlegend: false, hoverinfo: "skip" });
        traces.push({ ...over, name: "of these from the same debate", line: { color: css("--text"), width: 2 }, hovertemplate: "same debate, epoch %{x}: %{y:.1f} %<extra></extra>" });
      }
      const columns = [...kinds, ...(same ? [["same_debate", "same debate"]] : [])];
      const parts = columns.map(([key, name]) => `${name} ${shown(share(key)[0])} % at first, ${shown(share(key).at(-1))} at last`);
      return {
        says: `${course.label}: ${parts.join("; ")}.`,
        traces,
        layout: { barmode: "stack", bargap: course.epochs.length > 40 ? 0 : 0.1, height: 360, xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: "negatives (%)" }, range: [0, 100] } },
        head: ["epoch", ...columns.map(([, name]) => name)],
        rows: course.epochs.map((epoch, place) => [String(epoch), ...columns.map(([key]) => shown(course.negatives[key][place], 0))]),
      };
    });
    draws.push(accuracy, loss, negatives);
  }

  // --- re-ranking ---

  function stages() {
    if (!anyTrained) return chart("stage", () => NOTHING);
    let draw = () => {};
    const state = controls("stage-controls", [splitChoice(), protocolChoice(), taskChoice()], () => draw());
    draw = chart("stage", () => {
      const place = chosenPlace(state);
      const points = cells.map((system) => ({ system, x: percent("first", place, system), y: percent("value", place, system) }))
        .filter(({ x, y }) => x !== null && y !== null);
      if (!points.length) return { says: `${under(state)}: no figure.` };
      const fusions = data.axes[axisPlace.fusion].values;
      const traces = fusions.flatMap((fusion, number) => {
        const own = points.filter(({ system }) => on(system, "fusion") === fusion);
        if (!own.length) return [];
        return [line(number, {
          mode: "markers", name: fusion, x: own.map(({ x }) => x), y: own.map(({ y }) => y),
          marker: { color: colour(number), symbol: SYMBOLS[number % 6], size: 10, opacity: 0.85, line: { color: css("--page"), width: 1 } },
          text: own.map(({ system }) => data.systems[system].label), hovertemplate: "%{text}<br>%{x:.1f} % → %{y:.1f} %<extra></extra>",
        })];
      });
      const all = points.flatMap(({ x, y }) => [x, y]);
      const span = [Math.min(...all) - 1, Math.max(...all) + 1];
      traces.push({ type: "scatter", mode: "lines", name: "no gain", x: span, y: span, line: { color: css("--soft"), dash: "dot", width: 1.5 }, hoverinfo: "skip" });
      const gains = points.map(({ x, y }) => y - x);
      const mean = gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
      return {
        says: `${under(state)}: re-ranking raises ${gains.filter((gain) => gain > 0).length} of ${points.length} cells; by ${signed(mean)} points on average, from ${signed(Math.min(...gains))} to ${signed(Math.max(...gains))}.`,
        traces,
        layout: { xaxis: { title: { text: "first stage (%)" }, range: span, zeroline: false }, yaxis: { title: { text: "re-ranked (%)" }, range: span, zeroline: false } },
        head: ["cell", "first stage", "re-ranked", "gain"],
        rows: points.sort((a, b) => b.y - b.x - (a.y - a.x)).map(({ system, x, y }) => [data.systems[system].label, shown(x), shown(y), signed(y - x)]),
      };
    });
  }

  // --- the leak ---

  function leaks() {
    let draw = () => {};
    const state = controls("leaks-controls", [splitChoice(data.held_out)], () => draw());
    draw = chart("leaks", () => {
      const systems = [
        ...(data.best === null ? [] : [["best cell", data.best, "value"], ["its first stage", data.best, "first"]]),
        ...baselines.map((system) => [data.systems[system].label, system, "value"]),
      ];
      const figure = ([, system, name], protocol) => {
        const place = placeOf(state.split, protocol, "epa");
        const prefix = name === "first" ? "first_" : "";
        return { value: percent(name, place, system), low: percent(`${prefix}low`, place, system), high: percent(`${prefix}high`, place, system) };
      };
      const protocols = placesOf(1, data.protocols);
      if (!systems.length || !protocols.length) return { says: "There is neither a best cell nor a baseline yet." };
      const traces = protocols.map((protocol, number) => {
        const found = systems.map((system) => figure(system, protocol));
        return {
          type: "bar", name: protocolWord(protocol), x: systems.map(([name]) => name), y: found.map(({ value }) => value),
          marker: { color: colour(number), pattern: pattern(number) },
          error_y: { ...ends(found), color: css("--text") },
          hovertemplate: `%{x}, ${protocolWord(protocol)}: %{y:.1f} %<extra></extra>`,
        };
      });
      const parts = protocols.flatMap((protocol) => {
        const { value } = figure(systems[0], protocol);
        return value === null ? [] : [`${shown(value)} % under ${protocolWord(protocol)}`];
      });
      return {
        says: parts.length ? `${systems[0][0]} on ${state.split}: ${parts.join(", ")}.` : `${systems[0][0]} on ${state.split}: no figure.`,
        traces,
        layout: { barmode: "group", xaxis: { type: "category" }, yaxis: { title: { text: "accuracy@1 (%)" }, rangemode: "tozero" } },
        head: ["system", ...protocols.flatMap((protocol) => [protocolWord(protocol), "95 %"])],
        rows: systems.map((system) => [system[0], ...protocols.flatMap((protocol) => {
          const found = figure(system, protocol);
          return [shown(found.value), range(found)];
        })]),
      };
    });
  }

  comparison();
  heat();
  rates();
  courses();
  stages();
  leaks();

  const redraw = () => redraws.forEach((draw) => draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("(max-width: 600px)").addEventListener("change", redraw);
  for (const [event, on] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      document.documentElement.classList.toggle("printing", on);
      redraw();
    });
  }
})();
