"use strict";
(() => {
  // Whatever comes from the server is put into the page by textContent alone.
  const one = (id) => document.getElementById(id);
  const MAIN = ["side", "debate"];  // told at the head of an answer
  let token = null;  // in memory only
  let asking = null;
  let answers = [];
  let current = 0;

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  class Refused extends Error {
    constructor(status, message) {
      super(message);
      this.status = status;
    }
  }

  async function request(path, options = {}) {
    const headers = { ...options.headers };
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "The server cannot be reached. Is it still running?");
    }
    const body = await response.json().catch(() => ({}));
    if (!response.ok) {
      throw new Refused(response.status, body.error || `The server answered ${response.status}.`);
    }
    return body;
  }

  function complain(error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    one("status").textContent = "";
    if (error.status === 401) {
      const wrong = token !== null;
      token = null;
      one("unlock").hidden = false;
      one("token").focus();
      if (!wrong) return;
      one("problem").textContent = "This is not the server's token.";
    } else {
      one("problem").textContent = error.message;
    }
    one("problem").hidden = false;
  }

  // The form

  function field(name, label, values, all, distinct) {
    const box = element("div", undefined, "field filter");
    const id = `filter-${document.querySelectorAll(".filter").length}`;
    const named = element("label", label);
    named.htmlFor = id;
    let input;
    if (distinct > values.length) {
      // Too many to list them all.
      input = element("input");
      input.placeholder = all;
      input.setAttribute("list", `${id}-values`);
      const list = element("datalist");
      list.id = `${id}-values`;
      for (const each of values) list.append(new Option(each.value, each.value));
      box.append(list);
    } else {
      input = element("select");
      input.append(new Option(all, ""));
      for (const each of values) {
        input.append(new Option(`${each.value} (${each.texts.toLocaleString("en")})`, each.value));
      }
    }
    input.id = id;
    input.dataset.filter = name;
    input.addEventListener("change", again);
    box.prepend(named, input);
    one("filters").append(box);
  }

  function show(index) {
    one("system").textContent =
      `Counterpoint · ${index.system} · ${index.size.toLocaleString("en")} texts`;
    for (const old of document.querySelectorAll(".filter")) old.remove();
    for (const column of index.columns) {
      // What all texts share, or none does, filters nothing.
      if (column.distinct < 2 || column.distinct === index.size) continue;
      field(`where.${column.name}`, column.name, column.values, "all", column.distinct);
      if (column.name === "side") {
        field("not_side", "leave out the side", column.values, "none", column.distinct);
      }
    }
  }

  function question() {
    const asked = { text: one("text").value, k: one("k").valueAsNumber, where: {} };
    for (const input of document.querySelectorAll("[data-filter]")) {
      const [kind, ...name] = input.dataset.filter.split(".");
      if (input.value === "") continue;
      if (kind === "where") asked.where[name.join(".")] = input.value;
      else asked.not_side = input.value;
    }
    return asked;
  }

  async function ask(focus) {
    if (asking) asking.abort();
    const mine = new AbortController();
    asking = mine;
    one("problem").hidden = true;
    one("status").textContent = "Searching …";
    one("found").setAttribute("aria-busy", "true");
    try {
      const found = await request("/search", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(question()),
        signal: mine.signal,
      });
      fill(found, focus);
    } catch (error) {
      complain(error);
    } finally {
      if (asking === mine) {
        asking = null;
        one("found").removeAttribute("aria-busy");
      }
    }
  }

  function again() {
    if (!one("found").hidden && one("ask").checkValidity()) ask(false);
  }

  // The answers

  function fact(list, name, value) {
    const row = element("div");
    row.append(element("dt", name), element("dd", value));
    list.append(row);
  }

  function scores(answer) {
    const list = element("dl", undefined, "known");
    if (answer.probability !== null) {
      fact(list, "probability", `${(100 * answer.probability).toFixed(1)} %`);
    }
    if (answer.similarity !== null) fact(list, "similarity", answer.similarity.toFixed(3));
    else fact(list, "distance", answer.distance.toFixed(3));
    if (answer.first_stage_rank !== answer.rank) {
      fact(list, "rank before re-ranking", String(answer.first_stage_rank));
    }
    return list;
  }

  function card(answer, place) {
    const made = element("li", undefined, "answer");
    made.tabIndex = -1;
    const head = element("h3");
    head.append(element("span", `${answer.rank}.`));
    const { side, debate } = answer.metadata;
    if (side !== undefined) {
      const known = side === "pro" || side === "con" ? ` ${side}` : "";
      head.append(element("span", side, `side${known}`));
    }
    if (debate !== undefined) head.append(element("span", debate));
    const known = element("dl", undefined, "known");
    fact(known, "source", answer.source);
    for (const [name, value] of Object.entries(answer.metadata)) {
      if (!MAIN.includes(name) && value !== answer.source) fact(known, name, value);
    }
    const copy = element("button", "Copy");
    copy.type = "button";
    copy.setAttribute("aria-label", `Copy counter ${answer.rank}`);
    copy.addEventListener("click", () => { step(place, false); copyText(place); });
    const foot = element("div", undefined, "foot");
    foot.append(scores(answer), copy);
    made.append(head, element("blockquote", answer.text), known, foot);
    made.addEventListener("focusin", () => mark(place));
    return made;
  }

  function fill(found, focus) {
    answers = found.answers;
    one("answers").replaceChildren(...answers.map(card));
    one("found").hidden = answers.length === 0;
    const count = answers.length === 1 ? "1 counter" : `${answers.length} counters`;
    one("status").textContent = answers.length
      ? `${count} in ${found.seconds.toFixed(2)} s.`
      : "Nothing was found: no text fits these filters, or only your own does.";
    if (answers.length) step(0, focus);
  }

  function mark(place) {
    current = place;
    [...one("answers").children].forEach((each, number) => {
      each.tabIndex = number === place ? 0 : -1;
      if (number === place) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    });
    one("place").textContent = `${place + 1} of ${answers.length}`;
    one("previous").disabled = place === 0;
    one("next").disabled = place === answers.length - 1;
  }

  function step(place, focus = true) {
    if (place < 0 || place >= answers.length) return;
    mark(place);
    if (focus) one("answers").children[place].focus();
  }

  async function copyText(place) {
    const text = answers[place].text;
    let done = true;
    try {
      // There is none where the page comes from another machine without TLS.
      await navigator.clipboard.writeText(text);
    } catch {
      done = copySelected(text);
    }
    one("status").textContent = done
      ? `Copied counter ${place + 1}.`
      : "The browser allows no copying; select the text.";
  }

  function copySelected(text) {
    const before = document.activeElement;
    const held = element("textarea", text);
    document.body.append(held);
    held.select();
    const done = document.execCommand("copy");
    held.remove();
    before.focus();
    return done;
  }

  // What starts it all

  const KEYS = {
    ArrowDown: () => step(current + 1),
    ArrowUp: () => step(current - 1),
    Home: () => step(0),
    End: () => step(answers.length - 1),
    c: () => copyText(current),
    Escape: () => one("text").focus(),
  };
  one("answers").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  one("previous").addEventListener("click", () => step(current - 1));
  one("next").addEventListener("click", () => step(current + 1));
  one("k").addEventListener("change", again);
  one("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) one("ask").requestSubmit();
  });
  one("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(true);
  });
  one("unlock").addEventListener("submit", async (event) => {
    event.preventDefault();
    token = one("token").value;
    one("token").value = "";
    one("problem").hidden = true;
    try {
      show(await request("/index"));
      one("unlock").hidden = true;
      one("text").focus();
    } catch (error) {
      complain(error);
    }
  });
  request("/index").then(show).catch(complain);
})();
