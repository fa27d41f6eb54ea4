// The page: what is dropped becomes a list of verdicts, as the program answers.

import {$, ask, made, post, tell, trying} from "./api.js";
import {Demo} from "./demo.js";
import {receive, send} from "./dropping.js";
import {List} from "./list.js";
import {Models} from "./models.js";
import {Sheet} from "./sheet.js";
import {Audit, Enrolment} from "./sources.js";

const files = new Map();  // number → file, to enlarge it from
const models = new Models();
const list = new List((number) => sheet.show([number]), buttons);
const sheet = new Sheet(list, files);
const demo = new Demo();
const sources = {enrol: new Enrolment(models, start), audit: new Audit()};
let since = 0, stream = null, unsent = 0, failed = [], largest = Infinity, again = false;

async function start() {
  view();
  addEventListener("hashchange", view);
  const session = await trying(async () => (await ask("POST", "api/session")).json());
  if (!session) return;
  models.show(session.models);
  largest = session.largest;
  for (const one of Object.values(sources)) one.largest = largest;
  $("to-demo").hidden = !session.demo;
  $("pools").replaceChildren();
  session.pools.forEach(showPool);
  listen();
}

function view() {
  const views = Array.from(document.querySelectorAll("[data-view]"));
  const at = views.find((one) => `#${one.id}` === location.hash) ?? views[0];
  for (const one of views) one.hidden = one !== at;
  demo.visible(at.id === "demo");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${at.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

// The stream ends when nothing waits; what is dropped later opens it again.
function listen() {
  again = Boolean(stream);  // its last words may have been said before this was sent
  if (stream) return;
  stream = new EventSource(`api/events?since=${since}`);
  const on = (kind, take) => stream.addEventListener(kind, (event) => {
    since = Number(event.lastEventId) || since;
    take(JSON.parse(event.data));
  });
  stream.addEventListener("error", () => {  // the browser tries again unless it was refused
    if (stream?.readyState === EventSource.CLOSED) stream = null;
  });
  on("models", (told) => models.show(told));
  on("images", (rows) => list.add(rows));
  on("progress", progress);
  on("failed", (told) => tell(told.error));
  on("done", () => {
    stream.close();
    stream = null;
    if (unsent || again) listen();
  });
}

let told = {waiting: 0, answered: 0};
function progress(now) {
  told = now ?? told;
  const waiting = told.waiting + unsent, all = waiting + told.answered;
  $("bar").hidden = !waiting;
  $("bar").max = all || 1;
  $("bar").value = told.answered;
  const refused = failed.length ? `; ${failed.length} refused` : "";
  $("progress").textContent = all || refused ? `${told.answered} of ${all} answered${refused}` : "";
}

function take(found) {
  if (!found.length) {
    tell("nothing was found there: drop image files, or folders with some");
    return null;
  }
  const at = document.querySelector("[data-view]:not([hidden])").id;
  return (sources[at] ?? {take: examine}).take(found);
}

async function examine(found) {
  tell("");
  location.hash = "images";
  failed = [];
  unsent += found.length;
  progress();
  const path = {path: "api/images", query: {model: models.number}, largest};
  await send(found, path, (one, error, answer) => {
    unsent--;
    if (error) failed.push(`${one.file.name}: ${error.message}`);
    else files.set(answer.number, one.file);
    if (error) tell(failed.slice(0, 5).join("; "));
    else listen();
    progress();
  });
  if (!failed.some((text) => text.includes("session has ended"))) return;
  stream?.close();
  stream = null;
  since = 0;
  await start();
  tell("the session had ended, and a new one was begun: drop the images again");
}

function buttons() {
  const number = list.chosen.size;
  $("compare").disabled = number !== 2;
  $("pool").disabled = number < 2;
  $("remove").disabled = !number;
}

function showPool(pool) {
  $("pools").append(made("div", {class: `pool ${pool.kind}`},
    made("h3", {}, `${pool.name}: ${pool.verdict}`),
    pool.probability && made("p", {}, `probability ${pool.probability}`),
    pool.support && made("p", {}, pool.support), made("p", {}, pool.reason),
    made("p", {class: "small"}, "The images are taken to be of one origin.")));
}

async function pool() {
  const found = await trying(() => post("api/pool", {numbers: [...list.chosen]}));
  if (found) showPool(found);
}

async function remove() {
  const numbers = [...list.chosen];
  for (const number of numbers) {
    await trying(() => ask("DELETE", `api/images/${number}`));
    files.delete(number);
  }
  list.remove(numbers);
}

async function clear() {
  if (!await trying(() => ask("DELETE", "api/images"))) return;
  files.clear();
  list.clear();
  $("pools").replaceChildren();
  told = {waiting: 0, answered: 0};
  progress();
  $("main").focus();
}

$("compare").addEventListener("click", () => sheet.show([...list.chosen]));
$("pool").addEventListener("click", pool);
$("remove").addEventListener("click", remove);
$("clear").addEventListener("click", clear);
const inputs = ["files", "folder", "enrol-files", "enrol-folder", "audit-folder"];
receive(inputs.map($), take);
start();
