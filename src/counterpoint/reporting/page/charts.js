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
      const grid = fusions.map((fusion) => heads.map((head) => scoreOf(groupAt(fusion, head) ?? [], place).value));
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
        ? `${state.rate}${seedWord(state)}; ${under(state)}: ${all.length} of ${grid.flat().length} combinations have a score, from ${shown(Math.min(...all))} to ${shown(Math.max(...all))} %.`
        : `${state.rate}${seedWord(state)}; ${under(state)}: no combination has a score.`;
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
          .map((group) => ({ x: on(group[0], "decrease_rate"), ...scoreOf(group, place) }))
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
      if (!traces.length) return { says: `${says}: no score.` };
      const base = data.baseline === null ? null : percent("value", place, data.baseline);
      if (base !== null) {
        const name = `baseline ${data.systems[data.baseline].label}`;
        traces.push({ type: "scatter", mode: "lines", name, x: [at[0] - step / 3, at.at(-1) + step / 3], y: [base, base],
          line: { color: css("--soft"), dash: "longdashdot", width: 1.5 }, hovertemplate: `${name}: %{y:.1f} %<extra></extra>` });
        rows.push([name, shown(base), MISSING]);
      }
      return {
        says: `${says}: ${rows.filter((row) => row[1] !== MISSING).length} scores${base === null ? "" : `; the best baseline has ${shown(base)} %`}.`,
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

  // --- re-ranking ---

  function stages() {
    if (!anyTrained) return chart("stage", () => NOTHING);
    let draw = () => {};
    const state = controls("stage-controls", [splitChoice(), protocolChoice(), taskChoice()], () => draw());
    draw = chart("stage", () => {
      const place = chosenPlace(state);
      const points = cells.map((system) => ({ system, x: percent("first", place, system), y: percent("value", place, system) }))
        .filter(({ x, y }) => x !== null && y !== null);
      if (!points.length) return { says: `${under(state)}: no score.` };
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
      const score = ([, system, name], protocol) => {
        const place = placeOf(state.split, protocol, "epa");
        const prefix = name === "first" ? "first_" : "";
        return { value: percent(name, place, system), low: percent(`${prefix}low`, place, system), high: percent(`${prefix}high`, place, system) };
      };
      const protocols = placesOf(1, data.protocols);
      if (!systems.length || !protocols.length) return { says: "There is neither a best cell nor a baseline yet." };
      const traces = protocols.map((protocol, number) => {
        const found = systems.map((system) => score(system, protocol));
        return {
          type: "bar", name: protocolWord(protocol), x: systems.map(([name]) => name), y: found.map(({ value }) => value),
          marker: { color: colour(number), pattern: pattern(number) },
          error_y: { ...ends(found), color: css("--text") },
          hovertemplate: `%{x}, ${protocolWord(protocol)}: %{y:.1f} %<extra></extra>`,
        };
      });
      const parts = protocols.flatMap((protocol) => {
        const { value } = score(systems[0], protocol);
        return value === null ? [] : [`${shown(value)} % under ${protocolWord(protocol)}`];
      });
      return {
        says: parts.length ? `${systems[0][0]} on ${state.split}: ${parts.join(", ")}.` : `${systems[0][0]} on ${state.split}: no score.`,
        traces,
        layout: { barmode: "group", xaxis: { type: "category" }, yaxis: { title: { text: "accuracy@1 (%)" }, rangemode: "tozero" } },
        head: ["system", ...protocols.flatMap((protocol) => [protocolWord(protocol), "95 %"])],
        rows: systems.map((system) => [system[0], ...protocols.flatMap((protocol) => {
          const found = score(system, protocol);
          return [shown(found.value), range(found)];
        })]),
      };
    });
  }

