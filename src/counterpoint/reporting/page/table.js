  // --- comparison ---

  function comparison() {
    const body = element("tbody");
    const filtered = data.axes.filter((axis) => axis.values.length > 1);
    const columns = data.axes.filter((axis) => ["fusion", "head", "decrease_rate"].includes(axis.name) || axis.values.length > 1);
    const several = data.axes[axisPlace.seed].values.length > 1;
    const sorting = { column: null, down: true };
    const scores = [
      { key: "value", label: "accuracy@1" }, { key: "range", label: "95 %" }, { key: "first", label: "first stage" },
      { key: "ceiling", label: data.ceiling }, { key: "mrr", label: "MRR" }, { key: "ndcg", label: "nDCG@10" },
    ];
    const headings = [
      ...columns.map((axis, place) => ({ key: axis.name, label: place ? axis.short : `${axis.short} or baseline` })),
      ...scores,
    ];
    const state = controls("table-controls", [
      splitChoice(), protocolChoice(), taskChoice(),
      { key: "systems", label: "systems", value: "trained", options: [
        ["trained", `trained cells, recipes${imported.length ? ", baselines and imported logs" : " and baselines"}`], ["cells", "trained cells"],
        ["baselines", "recipes and baselines"], ["all", "all planned cells"]] },
      ...(several ? [{ key: "seeds", label: "seeds", value: "each", options: [["each", "each for itself"], ["mean", "their mean"]] }] : []),
      ...filtered.map((axis) => ({ key: `axis ${axis.name}`, label: axis.short, value: null,
        options: [[null, "all"], ...axis.values.map((value, place) => [place, word(value)])] })),
    ], fill);

    // The first column has the name, so the axis of that column stands in it.
    function logWord(system) {
      const n = system.asked[`${state.split} ${state.protocol}`];
      const own = [system.axes[columns[0].name], system.further, `n ${n ?? MISSING}`].filter((part) => part);
      return `${system.label} (${own.join(", ")})`;
    }

    function rowOf(group, place) {
      const system = data.systems[group[0]];
      const score = scoreOf(group, place);
      const row = { group, system, value: score.value, range: score.low === null ? null : score.high - score.low, text: range(score) };
      for (const name of ["first", "ceiling", "mrr", "ndcg"]) row[name] = scoreOf(group, place, name).value;
      columns.forEach((axis) => { row[axis.name] = system.at ? on(group[0], axis.name) : (system.axes?.[axis.name] ?? null); });
      if (!system.at) row[columns[0].name] = system.axes ? logWord(system) : system.label;
      if (group.length > 1) row.seed = `mean of ${group.length}`;
      return row;
    }

    // A log has scores of one protocol alone, and says nothing of axes that it was not given.
    const isMeant = (system) =>
      percent("value", chosenPlace(state), system) !== null &&
      filtered.every((axis) => {
        const chosen = state[`axis ${axis.name}`];
        const { axes } = data.systems[system];
        return chosen === null || !(axis.name in axes) || axes[axis.name] === axis.values[chosen];
      });

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
      if (state.systems === "trained") groups.push(...imported.filter(isMeant).map((system) => [system]));
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
        return element("td", { textContent: row.system.at || value !== null ? word(value) : MISSING });
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
      document.getElementById("table-says").textContent = !data.where.length ? "There are no scores yet." : place < 0
        ? `Nothing was measured under ${under(state)}.`
        : `${found.length} systems; ${under(state)}; ${data.n[place]?.toLocaleString("en") ?? "an unknown number of"} queries; in %.`;
    }

    const heads = headings.map((heading) => {
      const button = element("button", { type: "button", textContent: heading.label });
      const head = element("th", { scope: "col", className: scores.includes(heading) ? "number" : "" }, button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sortBy(heading));
      return head;
    });

    function sortBy(heading) {
      sorting.down = sorting.column === heading.key ? !sorting.down : scores.includes(heading);
      sorting.column = heading.key;
      heads.forEach((head, place) => head.setAttribute("aria-sort",
        headings[place] !== heading ? "none" : sorting.down ? "descending" : "ascending"));
      fill();
    }

    document.getElementById("table").append(
      element("caption", { textContent: "Accuracy and other scores of all systems" }),
      element("thead", {}, element("tr", {}, ...heads)), body);
    sortBy(scores[0]);
  }

