// The browser of wrong sentences. Texts of the corpus reach the page as text nodes alone, never as HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const spoken = (number) => number.toLocaleString("en");
  const COLOURS = 7, LINES = 5; // as in sentences.py
  const FILTERS = ["tag", "kind", "gold", "predicted", "text"];
  const NOTHING = { tag: "", kind: "", gold: "", predicted: "", text: "" };
  let filter = { ...NOTHING };
  let found = data.sentences;
  let at = 0; // -1: what was asked for is not among those found
  let gone = null;

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // An error has no gold or no predicted side where there is no entity, which the confusion matrix calls O.
  const tagOf = (span) => (span === null ? null : span[2]);
  const side = (span) => (span === null && data.entities ? "O" : span[2]);

  const matches = (error) =>
    (!filter.tag || tagOf(error.gold) === filter.tag || tagOf(error.predicted) === filter.tag) &&
    (!filter.kind || error.kind === filter.kind) &&
    (!filter.gold || side(error.gold) === filter.gold) &&
    (!filter.predicted || side(error.predicted) === filter.predicted);

  const search = () => {
    const text = filter.text.trim().toLowerCase();
    found = data.sentences.filter(
      (sentence) =>
        sentence.errors.some(matches) && (!text || sentence.words.join(" ").toLowerCase().includes(text)),
    );
  };

  const style = (tag) => {
    const place = Math.max(0, data.styles.indexOf(tag));
    return `c${place % COLOURS} u${(place + Math.floor(place / COLOURS)) % LINES}`;
  };

  const mark = (text, tag, wrong) => {
    const label = element("b", {}, element("bdi", {}, tag));
    if (wrong) {
      label.append(element("span", { "aria-hidden": "true" }, "\u00a0✗"), element("span", { class: "unseen" }, " (wrong)"));
    }
    return element("mark", { class: style(tag) + (wrong ? " wrong" : "") }, text + "\u00a0", label);
  };

  const line = (who, words, spans, others) => {
    const same = others.map((side) => new Set(side.map((span) => JSON.stringify(span))));
    const parts = [];
    let next = 0;
    for (const [start, end, tag] of [...spans].sort((a, b) => a[0] - b[0])) {
      if (end <= next) continue;
      const first = Math.max(start, next);
      if (next < first) parts.push(words.slice(next, first).join(" "));
      parts.push(mark(words.slice(first, end).join(" "), tag, !same.every((side) => side.has(JSON.stringify([start, end, tag])))));
      next = end;
    }
    if (next < words.length) parts.push(words.slice(next).join(" "));
    const spaced = parts.flatMap((part, i) => (i ? [" ", part] : [part]));
    const shown = element("span", { class: "words", dir: "auto" }, ...spaced);
    return element("p", { class: "line" }, element("span", { class: "who" }, who), shown);
  };

  const SHADES = 4; // as in report.css
  const heatLine = (words, { word, tag, values }) => {
    const most = Math.max(...values.map(Math.abs), 1e-9);
    const parts = words.flatMap((text, i) => {
      const shade = Math.round((SHADES * Math.abs(values[i])) / most);
      const attributes = { class: shade ? `${values[i] > 0 ? "for" : "against"}${shade}` : "even" };
      attributes.title = `${values[i] > 0 ? "+" : ""}${values[i]}`;
      const shown = i === word ? element("b", {}, element("bdi", {}, text), "\u00a0", element("bdi", {}, tag)) : text;
      return [element("span", attributes, shown), " "];
    });
    const shown = element("span", { class: "words heat", dir: "auto" }, ...parts);
    return element("p", { class: "line" }, element("span", { class: "who" }, "Why"), shown);
  };
  const HEAT = "Why: how much of the probability of the tag is lost where a word is unknown. Blue words speak for it, orange ones against it.";

  const wordsOf = (sentence, span) => (span === null ? null : sentence.words.slice(span[0], span[1]).join(" "));

  const quoted = (text) => ["“", element("bdi", {}, text), "”"];

  const errorItem = (sentence, error) => {
    const gold = wordsOf(sentence, error.gold);
    const predicted = wordsOf(sentence, error.predicted);
    const apart = gold !== null && predicted !== null && gold !== predicted;
    const said = (tag, text) =>
      tag === null ? ["no entity"] : [element("b", {}, element("bdi", {}, tag)), ...(apart ? [" ", ...quoted(text)] : [])];
    const item = element("li", {}, element("em", {}, `${error.label || data.kinds[error.kind]}:`), " ");
    if (!apart) item.append(...quoted(gold === null ? predicted : gold), ", ");
    item.append("gold ", ...said(tagOf(error.gold), gold), ", predicted ", ...said(tagOf(error.predicted), predicted));
    if (filtered() && matches(error)) item.classList.add("asked");
    return item;
  };

  const filtered = () => FILTERS.some((name) => name !== "text" && filter[name]);

  const draw = () => {
    const sentence = found[at];
    const box = byId("shown");
    byId("count").textContent = `${spoken(sentence ? at + 1 : 0)} of ${spoken(found.length)}`;
    byId("permalink").hidden = !sentence;
    if (!sentence) {
      const why = gone
        ? `Sentence ${spoken(gone)} is not among these: it has no such error, or was left out of this page.`
        : "No sentence matches. Clear the filters to see all of them.";
      box.replaceChildren(element("p", {}, why));
      return;
    }
    byId("permalink").href = address();
    box.replaceChildren(
      element("p", { class: "place" }, `Sentence ${spoken(sentence.number)}`),
      ...data.lines.map(([who, key, others]) => line(who, sentence.words, sentence[key], others.map((name) => sentence[name]))),
      ...(sentence.heat ? [heatLine(sentence.words, sentence.heat), element("p", { class: "hint" }, HEAT)] : []),
      element("ul", { class: "said" }, ...sentence.errors.map((error) => errorItem(sentence, error))),
    );
  };

  const drawFilters = () => {
    byId("by-tag").value = filter.tag;
    byId("by-kind").value = filter.kind;
    if (byId("by-text").value !== filter.text) byId("by-text").value = filter.text;
    const pair = byId("pair");
    pair.hidden = !filter.gold && !filter.predicted;
    pair.textContent = `${filter.gold || "any"} predicted as ${filter.predicted || "any"} ✕`;
    pair.setAttribute("aria-label", `Remove filter: ${filter.gold || "any"} predicted as ${filter.predicted || "any"}`);
  };

  const address = () => {
    const asked = new URLSearchParams();
    if (found[at]) asked.set("sentence", found[at].number);
    for (const name of FILTERS) if (filter[name]) asked.set(name, filter[name]);
    return `#${asked}`;
  };

  const remember = () => {
    try {
      history.replaceState(null, "", address());
    } catch (error) {
      if (error.name !== "SecurityError") throw error; // a frame without an address of its own has no link to keep
    }
  };

  const ask = (wanted, { number = null, keep = true } = {}) => {
    filter = { ...NOTHING, ...wanted };
    search();
    at = number === null ? 0 : found.findIndex((sentence) => sentence.number === number);
    gone = at < 0 ? number : null;
    drawFilters();
    draw();
    if (keep) remember();
  };

  const step = (by) => {
    if (!found.length) return;
    at = (Math.max(at, by > 0 ? -1 : 0) + by + found.length) % found.length;
    draw();
    remember();
  };

  const reveal = () => {
    byId("sentences").scrollIntoView();
    byId("sentences-title").focus({ preventScroll: true });
  };

  const readAddress = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (![...FILTERS, "sentence"].some((name) => asked.get(name))) return false;
    const wanted = Object.fromEntries(FILTERS.map((name) => [name, asked.get(name) || ""]));
    const known = (select, value) => [...byId(select).options].some((option) => option.value === value);
    if (!known("by-tag", wanted.tag)) wanted.tag = "";
    if (!known("by-kind", wanted.kind)) wanted.kind = "";
    ask(wanted, { number: Number(asked.get("sentence")) || null, keep: false });
    reveal();
    return true;
  };

  const options = (select, counts, every, name) => {
    const ordered = [...counts].sort((a, b) => b[1] - a[1]);
    const made = ordered.map(([value, count]) => element("option", { value }, `${name(value)} (${spoken(count)})`));
    byId(select).replaceChildren(element("option", { value: "" }, every), ...made);
  };

  const fillOptions = () => {
    const tags = new Map(), kinds = new Map();
    const add = (counts, keys) => keys.forEach((key) => counts.set(key, (counts.get(key) || 0) + 1));
    for (const { errors } of data.sentences) {
      add(tags, new Set(errors.flatMap((error) => [tagOf(error.gold), tagOf(error.predicted)]).filter((tag) => tag !== null)));
      add(kinds, new Set(errors.map((error) => error.kind)));
    }
    options("by-tag", tags, "all tags", (tag) => tag);
    options("by-kind", kinds, "all types", (kind) => data.kinds[kind]);
    byId("by-kind").parentElement.hidden = Object.keys(data.kinds).length < 2; // plain tags have one
  };

  const fromLink = ({ tag, kind, pair, sentence }) => {
    if (pair) {
      const [gold, predicted] = pair.split(",").map((i) => data.confused[i]);
      ask({ gold, predicted });
    } else {
      ask({ tag: tag || "", kind: kind || "" }, { number: Number(sentence) || null });
    }
    reveal();
  };

  const onKey = (event) => {
    const busy = event.target.closest("input, select, textarea, .scroll, summary");
    if (busy || event.ctrlKey || event.metaKey || event.altKey || !byId("keys").checked) return;
    const by = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  };

  // A suspect may be in a sentence without errors or not on this page: its number is then plain text.
  const unlink = () => {
    const here = new Set(data.sentences.map((sentence) => String(sentence.number)));
    for (const link of document.querySelectorAll("a[data-sentence]")) {
      if (!here.has(link.dataset.sentence)) link.replaceWith(link.textContent);
    }
  };

  const start = () => {
    fillOptions();
    const change = (name) => (event) => ask({ ...filter, [name]: event.target.value });
    byId("by-tag").addEventListener("change", change("tag"));
    byId("by-kind").addEventListener("change", change("kind"));
    byId("by-text").addEventListener("input", change("text"));
    byId("pair").addEventListener("click", () => {
      ask({ ...filter, gold: "", predicted: "" });
      byId("clear").focus();
    });
    byId("clear").addEventListener("click", () => ask({}));
    byId("previous").addEventListener("click", () => step(-1));
    byId("next").addEventListener("click", () => step(1));
    document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("keydown", onKey);
    addEventListener("hashchange", readAddress);
    const many = `${spoken(data.leftOut)} more ${data.leftOut === 1 ? "sentence" : "sentences"} with errors`;
    byId("left-out").textContent = data.leftOut ? `${many} not shown.` : "";
    if (!readAddress()) ask({}, { keep: false });
  };

  // A table that is wider than its place says so: phones and some desktops show no scroll bar until it is moved.
  const sayWider = (box) => {
    const wider = box.scrollWidth > box.clientWidth + 1;
    const said = box.previousElementSibling?.classList.contains("sideways") ? box.previousElementSibling : null;
    if (said && !wider) said.remove();
    if (wider && !said) {
      const text = "Wider than the page: scroll sideways, or focus the table with Tab and press → to see all columns.";
      box.before(element("p", { class: "hint sideways" }, text));
    }
  };

  const watchWidths = () => {
    const watcher = new ResizeObserver((entries) => entries.forEach((entry) => sayWider(entry.target)));
    document.querySelectorAll(".scroll").forEach((box) => watcher.observe(box));
  };

  document.documentElement.classList.add("js");
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-tag], a[data-kind], a[data-pair], a[data-sentence]");
    if (!link || !byId("shown")) return;
    event.preventDefault();
    fromLink(link.dataset);
  });
  unlink();
  watchWidths();
  if (byId("shown")) start();
})();
