// The board: stays true by itself, and lets appointments be moved by pointer or keyboard.

// Says nothing by import: an address without its hash would load the other module twice.
const panelIsOpen = () => Boolean(document.querySelector("dialog.panel")?.open);
const used = () => document.dispatchEvent(new Event("desk:used"));

const EVERY_MS = 3000;
const ROW_MINUTES = 5;
const SNAP_ROWS = 3;
const LONG_PRESS_MS = 350;
const MOVED_PX = 5;

let tag = document.body.dataset.etag;
let lift = null; // what is being moved: {card, visit, version, length, row, column, grab, target, by}

const day = () => document.getElementById("day");
const columns = () => [...document.querySelectorAll(".column")];
const speak = (text) => {
  document.getElementById("spoken").textContent = text;
};

// ---- staying true ----------------------------------------------------------------------------

async function look() {
  if (document.hidden || lift) return;
  const response = await fetch(location.href, {
    headers: { "X-Poll": "1", "If-None-Match": `"${tag}"` },
  });
  if (response.status === 401) return location.reload();
  if (response.status !== 200 || lift) return;
  show(await response.text());
}

function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  if (!page.getElementById("day")) return;
  tag = page.body.dataset.etag;
  const frame = document.querySelector(".board-frame");
  const [top, left] = [frame?.scrollTop ?? 0, frame?.scrollLeft ?? 0];
  const focused = document.activeElement?.id;
  const within = document.activeElement?.closest("[data-live]");
  for (const fresh of page.querySelectorAll("[data-live]")) {
    document.getElementById(fresh.id)?.replaceWith(document.adoptNode(fresh));
  }
  const after = document.querySelector(".board-frame");
  if (after) [after.scrollTop, after.scrollLeft] = [top, left];
  if (within && focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function keepLooking() {
  try {
    await look();
  } catch {
    // Away for a moment: the next look will tell.
  }
  setTimeout(keepLooking, EVERY_MS);
}
setTimeout(keepLooking, EVERY_MS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look().catch(() => {});
});

// The board opens where the day is.
const line = document.querySelector(".now-line");
const frame = document.querySelector(".board-frame");
if (line && frame) frame.scrollTop = Math.max(line.offsetTop - frame.clientHeight / 3, 0);

// ---- moving ----------------------------------------------------------------------------------

const rowsTotal = () => Number(day().dataset.rows);
const clock = (row) => {
  const minutes = Number(day().dataset.firstHour) * 60 + row * ROW_MINUTES;
  const hour = Math.floor(minutes / 60);
  return {
    wall: `${String(hour).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`,
    words: `${((hour + 11) % 12) + 1}:${String(minutes % 60).padStart(2, "0")} ${hour < 12 ? "AM" : "PM"}`,
  };
};

function begin(card, by, grab = 0) {
  const column = card.closest(".column");
  lift = {
    card,
    by,
    grab,
    column,
    from: column,
    visit: card.dataset.visit,
    version: card.dataset.version,
    length: Number(card.dataset.length),
    row: Number(card.dataset.row),
    start: Number(card.dataset.row),
    name: card.querySelector(".who").textContent,
    target: document.createElement("li"),
  };
  lift.target.className = "target";
  lift.target.setAttribute("aria-hidden", "true");
  for (const twin of document.querySelectorAll(`[data-visit="${CSS.escape(lift.visit)}"]`)) {
    twin.classList.add("is-lifted");
  }
  aim(lift.column, lift.row);
  if (by === "keys") {
    speak(`${lift.name} picked up. Arrow keys move, Enter drops, Escape cancels.`);
  }
}

function aim(column, row) {
  lift.column = column;
  lift.row = Math.max(0, Math.min(row, rowsTotal() - lift.length));
  const { words } = clock(lift.row);
  lift.target.className = `target r${lift.row} d${lift.length}`;
  lift.target.textContent = words;
  column.querySelector(".rows").append(lift.target);
}

function cancel(words = "Move cancelled.") {
  if (!lift) return;
  lift.target.remove();
  for (const twin of document.querySelectorAll(".is-lifted")) twin.classList.remove("is-lifted");
  document.documentElement.classList.remove("is-dragging");
  const { card } = lift;
  lift = null;
  if (words) speak(words);
  card.focus?.({ preventScroll: true });
}

async function drop() {
  const { column, row, start, from, visit, version, name, card } = lift;
  if (column === from && row === start) return cancel("Left where it was.");
  const form = document.getElementById("move-form");
  const data = new FormData(form);
  data.set("version", version);
  data.set("at", `${day().dataset.day}T${clock(row).wall}`);
  data.set("site", column.dataset.site);
  data.set("chair", column.dataset.chair ?? "");
  data.set("person", column.dataset.person ?? "");
  const where = `${column.dataset.name}, ${clock(row).words}`;
  let response;
  try {
    response = await fetch(`/desk/appointments/${encodeURIComponent(visit)}/move`, {
      method: "POST",
      body: data,
      headers: { "X-Fragment": "1" },
    });
  } catch {
    return refuse("The move did not get through. Please try again.");
  }
  used();
  if (response.status === 401) return location.reload();
  const html = await response.text();
  if (!response.ok) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const words = page.querySelector("[role=alert] p")?.textContent ?? "That cannot be done.";
    return refuse(words.trim());
  }
  const id = card.id;
  cancel("");
  show(html);
  say(html);
  const moved =
    document.getElementById(id) ?? document.querySelector(`[data-visit="${CSS.escape(visit)}"]`);
  moved?.focus({ preventScroll: true });
  speak(`${name} moved to ${where}.`);
}

// What was just done, with its way back, stands above the board.
function say(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const said = page.getElementById("said");
  document.getElementById("said")?.remove();
  if (said) day().before(document.adoptNode(said));
}

function refuse(words) {
  cancel("");
  document.getElementById("said")?.remove();
  const said = document.createElement("div");
  said.id = "said";
  said.className = "said notice said-trouble";
  said.setAttribute("role", "alert");
  const text = document.createElement("p");
  text.textContent = words;
  said.append(text);
  day().before(said);
  tag = ""; // whatever changed meanwhile is fetched now
  look().catch(() => {});
}

// ---- by keyboard -----------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (panelIsOpen() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!lift) {
    const card = event.target.closest?.("[data-movable]");
    if (card && (event.key === "m" || event.key === "M" || event.key === " ")) {
      event.preventDefault();
      begin(card, "keys");
    }
    return;
  }
  if (lift.by !== "keys") {
    if (event.key === "Escape") cancel();
    return;
  }
  const all = columns();
  const at = all.indexOf(lift.column);
  const step = event.shiftKey ? 1 : SNAP_ROWS;
  const sameKind = (column) =>
    column && ("chair" in column.dataset) === ("chair" in lift.from.dataset) ? column : null;
  const moves = {
    ArrowUp: () => aim(lift.column, lift.row - step),
    ArrowDown: () => aim(lift.column, lift.row + step),
    ArrowLeft: () => sameKind(all[at - 1]) && aim(all[at - 1], lift.row),
    ArrowRight: () => sameKind(all[at + 1]) && aim(all[at + 1], lift.row),
    Enter: () => drop(),
    " ": () => drop(),
    Escape: () => cancel(),
    Tab: () => cancel(),
  };
  if (!moves[event.key]) return;
  if (event.key !== "Tab") event.preventDefault();
  moves[event.key]();
  if (lift && event.key.startsWith("Arrow")) {
    lift.target.scrollIntoView({ block: "nearest", inline: "nearest" });
    speak(`${lift.column.dataset.name}, ${clock(lift.row).words}`);
  }
});

// ---- by pointer ------------------------------------------------------------------------------

let press = null;
let swallow = false; // the click that ends a drag opens nothing

document.addEventListener("dragstart", (event) => {
  if (event.target.closest?.("[data-visit]")) event.preventDefault();
});

document.addEventListener("pointerdown", (event) => {
  const card = event.target.closest?.("[data-movable]");
  if (!card || event.button || lift) return;
  const grab = event.clientY - card.getBoundingClientRect().top;
  press = { card, grab, x: event.clientX, y: event.clientY, touch: event.pointerType === "touch" };
  if (press.touch) press.timer = setTimeout(() => liftByPointer(), LONG_PRESS_MS);
});

document.addEventListener("pointermove", (event) => {
  if (press && !lift) {
    const far = Math.hypot(event.clientX - press.x, event.clientY - press.y) > MOVED_PX;
    if (!far) return;
    if (press.touch) return release(); // a swipe scrolls
    liftByPointer();
  }
  if (lift?.by === "pointer") follow(event.clientX, event.clientY);
});

document.addEventListener(
  "touchmove",
  (event) => {
    if (lift?.by === "pointer") event.preventDefault();
  },
  { passive: false },
);

document.addEventListener("contextmenu", (event) => {
  if (lift?.by === "pointer") event.preventDefault();
});

document.addEventListener("pointerup", () => {
  release();
  if (lift?.by === "pointer") {
    swallow = true;
    setTimeout(() => {
      swallow = false;
    }, 50);
    drop();
  }
});

document.addEventListener("pointercancel", () => {
  release();
  if (lift?.by === "pointer") cancel();
});

document.addEventListener(
  "click",
  (event) => {
    if (!swallow) return;
    swallow = false;
    event.preventDefault();
    event.stopPropagation();
  },
  true,
);

function liftByPointer() {
  clearTimeout(press.timer);
  begin(press.card, "pointer", press.grab);
  document.documentElement.classList.add("is-dragging");
}

function release() {
  clearTimeout(press?.timer);
  press = null;
}

function follow(x, y) {
  const frame = document.querySelector(".board-frame").getBoundingClientRect();
  const inside = Math.min(Math.max(x, frame.left + 60), frame.right - 4);
  const column = columns().find((c) => {
    const box = c.getBoundingClientRect();
    return inside >= box.left && inside < box.right;
  });
  if (!column || ("chair" in column.dataset) !== ("chair" in lift.from.dataset)) return;
  const rows = column.querySelector(".rows").getBoundingClientRect();
  const height = rows.height / rowsTotal();
  const row = Math.round((y - lift.grab - rows.top) / height / SNAP_ROWS) * SNAP_ROWS;
  aim(column, row);
}
