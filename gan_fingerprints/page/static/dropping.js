// Files that are dropped, chosen or pasted, and their way to the program.

import {ask, Refused} from "./api.js";

const AT_ONCE = 3;
const PATIENCE = 60;  // how often what is refused for lack of room is sent again

// All files of what was dropped, of folders too: [{file, folder}].
export async function dropped(transfer) {
  const entries = Array.from(transfer.items ?? [], (item) => item.webkitGetAsEntry?.());
  if (!entries.some(Boolean)) return plain(transfer.files);
  const found = [];
  for (const entry of entries.filter(Boolean)) await walk(entry, "", found);
  return found;
}

export const plain = (files) => Array.from(files, (file) =>
  ({file, folder: (file.webkitRelativePath || "").split("/").slice(0, -1).join("/")}));

async function walk(entry, folder, found) {
  if (entry.name.startsWith(".")) return;  // as attribute leaves them out
  if (entry.isFile) {
    const file = await new Promise((go, fail) => entry.file(go, fail)).catch(() => null);
    if (file) found.push({file, folder});
    return;
  }
  const reader = entry.createReader(), inside = folder ? `${folder}/${entry.name}` : entry.name;
  for (;;) {  // a part of it at a time
    const part = await new Promise((go, fail) => reader.readEntries(go, fail)).catch(() => []);
    if (!part.length) return;
    for (const one of part) await walk(one, inside, found);
  }
}

// Sends files, some at a time, in order; told(file, error or null, answer) of each.
export async function send(found, path, told) {
  const rest = found.slice();
  const sender = async () => {
    for (let one = rest.shift(); one; one = rest.shift()) {
      try {
        told(one, null, await sent(one, path));
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        told(one, error, null);
        if (error.status === 0) rest.length = 0;
      }
    }
  };
  await Promise.all(Array.from({length: AT_ONCE}, sender));
}

async function sent({file, folder}, path) {
  if (file.size > path.largest) {  // or the connection would end while it is being sent
    throw new Refused(`larger than ${path.largest.toLocaleString("en")} bytes, the most that is ` +
                      "taken: send a smaller file", 413);
  }
  const query = new URLSearchParams({...path.query, name: file.name});
  if (folder) query.set("folder", folder);
  for (let i = 0; ; i++) {
    try {
      return await (await ask("POST", `${path.path}?${query}`, file)).json();
    } catch (error) {
      if (error.status !== 503 || !error.retry || i === PATIENCE) throw error;
      await new Promise((go) => setTimeout(go, 1000 * error.retry));
    }
  }
}

// Calls take(files) for whatever is dropped anywhere, pasted, or chosen with the inputs.
export function receive(inputs, take) {
  let inside = 0;
  const over = (on) => document.body.classList.toggle("over", on);
  const has = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => { if (has(event)) over(++inside > 0); });
  addEventListener("dragleave", (event) => { if (has(event)) over(--inside > 0); });
  addEventListener("dragover", (event) => { if (has(event)) event.preventDefault(); });
  addEventListener("drop", async (event) => {
    if (!has(event)) return;
    event.preventDefault();
    over((inside = 0) > 0);
    take(await dropped(event.dataTransfer));
  });
  addEventListener("paste", (event) => {
    const files = plain(event.clipboardData?.files ?? []);
    if (files.length) take(files);
  });
  for (const input of inputs) {
    input.addEventListener("change", () => {
      const files = plain(input.files).filter((x) => !x.file.name.startsWith("."));
      take(files);
      input.value = "";  // so that the same can be chosen again
    });
  }
}
