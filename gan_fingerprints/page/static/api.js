// What is asked of the program, and how parts of the page are made: never of text that is HTML.

export class Refused extends Error {
  constructor(message, status, retry) {
    super(message);
    this.status = status;
    this.retry = retry;
  }
}

export async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(path, {method, body});
  } catch {
    throw new Refused("the program does not answer: is it still running?", 0, 0);
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    const retry = Number(response.headers.get("retry-after"));
    throw new Refused(told.error || `it answered with status ${response.status}`,
                      response.status, retry);
  }
  return response;
}

export const get = async (path) => (await ask("GET", path)).json();
export const post = async (path, values) =>
  (await ask("POST", path, JSON.stringify(values ?? {}))).json();

export const $ = (id) => document.getElementById(id);

// made("p", {class: "small"}, "text", other element, …); what is null is left out.
export function made(tag, attributes, ...parts) {
  const one = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === true) one.setAttribute(name, "");
    else if (value !== false && value != null) one.setAttribute(name, value);
  }
  one.append(...parts.filter((part) => part != null && part !== false));
  return one;
}

export function table(header, rows, label) {
  const head = made("tr", {}, ...header.map((x) => made("th", {scope: "col"}, x)));
  const lines = rows.map(([first, ...rest]) => made("tr", {},
    made("th", {scope: "row"}, String(first)),
    ...rest.map((x) => made("td", {}, x == null ? "–" : String(x)))));
  return made("div", {class: "scroll", role: "region", tabindex: 0, "aria-label": label},
    made("table", {class: header.length < 4 ? "few" : ""},
      made("thead", {}, head), made("tbody", {}, ...lines)));
}

export function facts(pairs) {
  return made("dl", {class: "plain"}, ...Object.entries(pairs).flatMap(([name, value]) =>
    [made("dt", {}, name), made("dd", {}, value == null ? "–" : String(value))]));
}

// Fails are said where they are read out; the next success takes them away.
export function tell(problem) {
  $("problem").textContent = problem ? `${problem}.`.replace(/\.\.$/, ".") : "";
  $("problem").hidden = !problem;
}

export async function trying(what) {
  try {
    tell("");
    return await what();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(error.message);
    return null;
  }
}

// Lets the browser answer its user before the next part of long work.
export const pause = () => new Promise((go) => setTimeout(go, 0));
