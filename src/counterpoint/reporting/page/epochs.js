  // --- epoch by epoch ---

  function epochs() {
    const draws = [];
    const start = data.curves.findIndex((curve) => curve.system === data.best && data.best !== null);
    const state = controls("epoch-controls", [
      { key: "curve", label: "cell", value: Math.max(0, start), options: data.curves.map((curve, place) => [place, curve.label]) },
    ], () => draws.forEach((draw) => draw()));
    const none = { says: data.curves.length ? "This log has none of these." : NOTHING.says };
    const unit = (column, factor) => column.map((value) => (value === null ? null : (factor * value) / data.scale));

    // Lines against epoch, with the random rate at the right and the best epoch marked.
    function over(curve, series, title, digits) {
      const epochs = curve.epochs;
      const traces = series.map(({ name, values, look, dash }, number) => ({
        ...line(look ?? number), name, x: epochs, y: values,
        line: { color: colour(look ?? number), dash: dash ?? DASHES[number % 6], width: 1.8 },
        // A marker on some epochs only, or it would hide the line.
        marker: { symbol: SYMBOLS[number % 6], size: 7, maxdisplayed: 15, color: colour(look ?? number) },
        hovertemplate: `${name}, epoch %{x}: %{y:.${digits}f}<extra></extra>`,
      }));
      const rate = curve.columns.rate && unit(curve.columns.rate, 1);
      if (rate) {
        traces.push({ type: "scatter", mode: "lines", name: "random rate (right)", x: epochs, y: rate, yaxis: "y2",
          line: { color: css("--soft"), dash: "dot", width: 1.5 }, hovertemplate: "random rate, epoch %{x}: %{y:.3f}<extra></extra>" });
      }
      const best = curve.best === null ? {} : {
        shapes: [{ type: "line", x0: curve.best, x1: curve.best, y0: 0, y1: 1, yref: "paper", line: { color: css("--soft"), width: 1 } }],
        annotations: [{ x: curve.best, y: 1, yref: "paper", xanchor: "left", yanchor: "top", showarrow: false, text: ` best epoch, ${curve.best}`, font: { color: css("--soft") } }],
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
      const curve = data.curves[state.curve];
      if (!curve) return none;
      const series = SPLITS.flatMap((split, look) => {
        const asked = split === "train" ? ["official"] : [accuracyState.protocol ?? "clean"];
        const protocol = [...asked, ...(curve.system === null ? data.leaks : [])].find((own) => curve.columns[`accuracy/${split}/${own}`]);
        if (!protocol) return [];
        return [{ name: `${split} (${data.leaks.includes(protocol) ? `${protocol}, leaks` : protocol})`, values: unit(curve.columns[`accuracy/${split}/${protocol}`], 100), look }];
      });
      if (!series.length) return none;
      const parts = series.flatMap(({ name, values }) => {
        const found = spread(values);
        return found ? [`${name} ${shown(found[0])} % at first, ${shown(found[1])} at best, ${shown(found[2])} at last`] : [];
      });
      return { says: `${curve.label}: ${parts.join("; ")}.`, ...over(curve, series, "accuracy@1 (%)", data.decimals) };
    });
    const logged = SPLITS.filter((split) => data.curves.some((curve) => curve.columns[`loss/${split}/retrieval`]));
    const lossState = controls("loss-controls", [
      { key: "splits", label: "splits", value: "train, dev", options: unique(["train, dev", ...logged]).map((own) => [own, own.replace(",", " and")]) },
    ], () => loss());
    const loss = chart("loss", () => {
      const curve = data.curves[state.curve];
      const terms = ["retrieval", "counter", "negative"];
      const series = !curve ? [] : terms.flatMap((term, look) => lossState.splits.split(", ").flatMap((split) => {
        const column = curve.columns[`loss/${split}/${term}`];
        return column ? [{ name: `${term}, ${split}`, values: unit(column, 1), look, dash: ["solid", "dash", "dot"][SPLITS.indexOf(split)] }] : [];
      }));
      if (!series.length) return none;
      const parts = series.map(({ name, values }) => `${name} from ${shown(spread(values)[0], 3)} to ${shown(spread(values)[2], 3)}`);
      return { says: `${curve.label}: ${parts.join("; ")}.`, ...over(curve, series, "loss", 3) };
    });
    const negatives = chart("negatives", () => {
      const curve = data.curves[state.curve];
      if (!curve || !curve.negatives.random) return none;
      const kinds = [["random", "random"], ["hard_counter", "hard counter"], ["hard_point", "hard point"]].filter(([key]) => curve.negatives[key]);
      const total = curve.epochs.map((_, place) => kinds.reduce((sum, [key]) => sum + (curve.negatives[key][place] ?? 0), 0));
      const share = (key) => curve.negatives[key].map((count, place) => (total[place] ? (100 * count) / total[place] : null));
      const traces = kinds.map(([key, name], number) => ({
        type: "bar", name, x: curve.epochs, y: share(key),
        marker: { color: colour(number), line: { width: 0 }, pattern: pattern(number) },
        hovertemplate: `${name}, epoch %{x}: %{y:.1f} %<extra></extra>`,
      }));
      const same = curve.negatives.same_debate;
      if (same) {
        const over = { type: "scatter", mode: "lines", x: curve.epochs, y: share("same_debate") };
        // On a wider line in the page's colour, to be seen on every pattern.
        traces.push({ ...over, line: { color: css("--page"), width: 6 }, showlegend: false, hoverinfo: "skip" });
        traces.push({ ...over, name: "of these from the same debate", line: { color: css("--text"), width: 2 }, hovertemplate: "same debate, epoch %{x}: %{y:.1f} %<extra></extra>" });
      }
      const columns = [...kinds, ...(same ? [["same_debate", "same debate"]] : [])];
      const parts = columns.map(([key, name]) => `${name} ${shown(share(key)[0])} % at first, ${shown(share(key).at(-1))} at last`);
      return {
        says: `${curve.label}: ${parts.join("; ")}.`,
        traces,
        layout: { barmode: "stack", bargap: curve.epochs.length > 40 ? 0 : 0.1, height: 360, xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: "negatives (%)" }, range: [0, 100] } },
        head: ["epoch", ...columns.map(([, name]) => name)],
        rows: curve.epochs.map((epoch, place) => [String(epoch), ...columns.map(([key]) => shown(curve.negatives[key][place], 0))]),
      };
    });
    draws.push(accuracy, loss, negatives);
  }

