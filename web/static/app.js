// The page: asks /api/updates for what is new, and shows it. Texts are set as text, never as HTML.

import { Chart, colourOf, learn, recoloured } from "/chart.js";
import { Settings } from "/settings.js";

const find = (id) => document.getElementById(id);
const chart = new Chart(find("chart"), find("legend"));
const settings = new Settings(find("settings"), (changes) => ask("PATCH", "/api/settings", changes));
const rows = new Map(); // of events, by id
const EVENTS = 50; // asked for at a time
const MOST_EVENTS = 1000; // kept
const RETRY = 2000; // milliseconds between two attempts to connect

let source = null; // the one that is looked at; null before the first status
let status = { sources: [] };
let stream = null; // of updates
let drawn = false;

async function ask(method, path, body) {
  const request = { method, headers: {} };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Error("the program can't be reached");
  }
  const answer = await response.json().catch(() => ({ error: `unreadable answer (${response.status})` }));
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error), { status: response.status });
}

function element(kind, className, text = "") {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

// --- connection ---------------------------------------------------------------------------------------------------

function showConnection(state, text) {
  find("connection").dataset.state = state;
  if (find("connection").textContent !== text) find("connection").textContent = text;
}

async function connect() {
  disconnect();
  const mine = (stream = new EventSource("/api/updates"));
  mine.addEventListener("open", start);
  mine.addEventListener("error", () => lose(mine));
  mine.addEventListener("settings", (message) => settings.show(JSON.parse(message.data)));
  mine.addEventListener("status", (message) => showStatus(JSON.parse(message.data)));
  mine.addEventListener("prediction", (message) => showPrediction(JSON.parse(message.data)));
  mine.addEventListener("event", (message) => showEvents([JSON.parse(message.data)]));
}

function disconnect() {
  if (stream) stream.close();
  stream = null;
  showPicture(false);
}

// What happened while nobody was connected.
async function start() {
  try {
    if (!settings.controls.size) settings.build(await ask("GET", "/api/flags"));
    settings.show(await ask("GET", "/api/settings"));
    showEvents(await ask("GET", `/api/events?limit=${EVENTS}`));
    if (source !== null) await look(source);
    showConnection("live", "live");
  } catch (error) {
    if (stream) lose(stream);
  }
}

async function lose(lost) {
  if (lost !== stream) return;
  disconnect();
  showConnection("lost", "connection lost");
  try {
    await ask("GET", "/api/status");
  } catch (error) {
    if (error.status === 401) {
      showConnection("lost", "not signed in: open the address with its token");
      return;
    }
    if (error.status) showConnection("lost", error.message);
  }
  if (!document.hidden) setTimeout(() => { if (!stream && !document.hidden) connect(); }, RETRY);
}

// A page that nobody sees costs nothing: browsers share few connections among all tabs.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) disconnect();
  else if (!stream) connect();
});

// --- picture and statistics ---------------------------------------------------------------------------------------

function showPicture(wanted) {
  const old = find("frame").querySelector("img");
  if (old) {
    old.removeAttribute("src"); // ends the transfer
    old.remove();
  }
  if (!wanted) return;
  const image = document.createElement("img");
  image.alt = "live picture with its labels";
  image.addEventListener("load", () => {
    find("frame").style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
    find("no-picture").dataset.had = "yes";
    tellPicture();
  });
  delete find("no-picture").dataset.had;
  image.src = `/api/stream.mjpg?source=${encodeURIComponent(source)}&at=${Date.now()}`;
  find("frame").append(image);
}

function tellPicture() {
  const one = status.sources.find(({ name }) => name === source);
  const silent = one && one.no_signal > 0;
  const text = silent ? `no signal for ${Math.round(one.no_signal)} s` : status.paused ? "paused" : "waiting for a picture";
  const note = find("no-picture");
  note.hidden = !silent && !status.paused && "had" in note.dataset;
  if (note.textContent !== text) note.textContent = text;
}

async function look(name) {
  source = name;
  showSources();
  find("save").href = `/api/picture.jpg?source=${encodeURIComponent(name)}`;
  showBars([]);
  showPicture(true);
  chart.replace((await ask("GET", `/api/history?source=${encodeURIComponent(name)}`)).points);
}

function showSources() {
  const names = status.sources.map(({ name }) => name);
  const group = find("sources");
  group.hidden = names.length < 2;
  if (group.childElementCount !== names.length || names.some((name, n) => group.children[n].textContent !== name)) {
    group.replaceChildren(...names.map((name) => {
      const button = element("button", "", name);
      button.type = "button";
      button.addEventListener("click", () => look(name).catch(() => {}));
      return button;
    }));
  }
  for (const button of group.children) button.setAttribute("aria-pressed", String(button.textContent === source));
}

function showStatus(news) {
  status = news;
  status.sources = status.sources || [];
  document.title = status.name ? `Action recognition: ${status.name}` : "Action recognition";
  showSources();
  if (status.sources.length && !status.sources.some(({ name }) => name === source))
    look(status.sources[0].name).catch(() => {});
  const one = status.sources.find(({ name }) => name === source) || {};
  const number = (value, digits) => Number(value).toFixed(digits);
  const facts = [
    ["camera", one.camera_fps, (fps) => `${number(fps, 0)} fps`],
    ["model", one.sample_fps, (fps) => `${number(fps, 1)} of ${Number(one.wanted_fps)} fps`],
    ["step", one.step_ms && one.step_ms.p50, (ms) => `${number(ms, 1)} ms`],
    ["note", one.note || null, (note) => note],
    ["heat", status.temperature, (degrees) => `${number(degrees, 0)} °C`],
    ["memory", status.memory_mb, (size) => `${number(size, 0)} MB`],
    ["recording", status.recording, (path) => path],
    ["up", status.uptime, duration],
    ["file", status.model, (model) => model],
  ].filter(([, value]) => value !== null && value !== undefined);
  find("facts").replaceChildren(...facts.map(([name, value, spell]) => {
    const pair = element("div", "");
    pair.append(element("dt", "", name), element("dd", "", spell(value)));
    return pair;
  }));
  tellPicture();
}

function duration(seconds) {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (days) return `${days} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min ${Math.floor(seconds % 60)} s`;
}

// --- predictions --------------------------------------------------------------------------------------------------

function showPrediction(prediction) {
  if (prediction.source !== source) return;
  chart.add(prediction);
  showBars(prediction.top);
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    chart.draw();
  });
}

function showBars(top) {
  const list = find("bars");
  if (!top.length) {
    list.replaceChildren(element("li", "none", "nothing above the threshold"));
    return;
  }
  if (list.querySelector(".none")) list.replaceChildren();
  while (list.childElementCount > top.length) list.lastChild.remove();
  while (list.childElementCount < top.length) {
    const row = element("li", ""), track = element("div", "track");
    track.append(element("div", "fill"));
    row.append(element("span", "name"), element("span", "share"), track);
    list.append(row);
  }
  top.forEach(({ label, probability }, n) => {
    const row = list.children[n], fill = row.querySelector(".fill");
    row.querySelector(".name").textContent = label;
    row.querySelector(".share").textContent = `${Math.round(probability * 100)} %`;
    fill.style.width = `${probability * 100}%`;
    fill.style.background = colourOf(label);
  });
}

// --- events -------------------------------------------------------------------------------------------------------

// Only rows that are new or have changed are touched: the others keep the focus and the place.
function showEvents(news, older = false) {
  const list = find("events");
  learn(news);
  for (const event of news) {
    const row = eventRow(event), old = rows.get(event.id);
    if (old) old.replaceWith(row);
    else list.insertBefore(row, [...list.children].find((other) => other.dataset.id < event.id) || null);
    rows.set(event.id, row);
  }
  while (list.childElementCount > MOST_EVENTS) {
    rows.delete(list.lastChild.dataset.id);
    list.lastChild.remove();
  }
  find("no-events").hidden = rows.size > 0;
  if (older || news.length >= EVENTS) find("older").hidden = news.length < EVENTS;
}

recoloured.addEventListener("change", () => {
  for (const mark of document.querySelectorAll("#events .mark")) mark.style.background = colourOf(mark.dataset.label);
});

function eventRow(event) {
  const row = element("li", ""), mark = element("span", "mark"), end = element("span", "end");
  row.dataset.id = event.id;
  mark.dataset.label = event.label;
  mark.style.background = colourOf(event.label);
  const began = new Date(event.start * 1000);
  const today = began.toDateString() === new Date().toDateString();
  const about = [
    today ? began.toLocaleTimeString() : began.toLocaleString(),
    event.ongoing ? null : duration(event.duration),
    `peak ${Math.round(event.peak * 100)} %`,
    status.sources.length > 1 ? event.source : null,
  ];
  if (event.ongoing) end.append(element("span", "badge", "now"));
  else if (event.clip) {
    const button = element("button", "", "▶ Play");
    button.type = "button";
    button.setAttribute("aria-label", `Play the clip of ${event.label}, ${about[0]}`);
    button.addEventListener("click", () => play(event, about[0]));
    end.append(button);
  }
  row.append(mark, element("span", "name", event.label), element("span", "about", about.filter(Boolean).join(" · ")), end);
  return row;
}

function play(event, when) {
  find("player-title").textContent = `${event.label}, ${when}`;
  find("player-error").textContent = "";
  find("video").src = `/api/clips/${encodeURIComponent(event.clip)}`;
  find("player").showModal();
  find("video").play().catch(() => {});
}

find("video").addEventListener("error", () => {
  if (find("video").getAttribute("src")) find("player-error").textContent = "The clip isn't there: it is still being written, or was deleted to keep the limit.";
});
find("player").addEventListener("close", () => {
  find("video").removeAttribute("src");
  find("video").load();
});
find("older").addEventListener("click", async () => {
  const oldest = find("events").lastChild.dataset.id;
  try {
    showEvents(await ask("GET", `/api/events?limit=${EVENTS}&before=${encodeURIComponent(oldest)}`), true);
  } catch (error) {
    find("said").textContent = error.message;
  }
});
find("reset").addEventListener("click", async () => {
  try {
    await ask("POST", "/api/reset", {});
    find("said").textContent = "The model starts afresh.";
  } catch (error) {
    find("said").textContent = error.message;
  }
  setTimeout(() => { find("said").textContent = ""; }, 5000);
});

if (!document.hidden) connect();
