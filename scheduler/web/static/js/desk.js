// On every page of the desk: keys, the side panel, and going back to the sign-in when time is up.

document.documentElement.classList.add("with-script");

const IDLE_MS = 15 * 60 * 1000 + 5000;
const typing = (node) => node.closest("input, textarea, select, [contenteditable]");

// Single keys can be switched off, for whom they get in the way (speech input, a resting hand).
const keys = document.querySelector("[data-keys]");
const keysAreOn = () => localStorage.getItem("shortcut-keys") !== "off";
function showKeys() {
  keys.hidden = false;
  keys.textContent = keysAreOn() ? "Shortcut keys: on" : "Shortcut keys: off";
  document.documentElement.classList.toggle("no-keys", !keysAreOn());
}
keys?.addEventListener("click", () => {
  localStorage.setItem("shortcut-keys", keysAreOn() ? "off" : "on");
  showKeys();
});
if (keys) showKeys();

// `/` finds, `n` books; only when nobody is typing and no other key is held.
document.addEventListener("keydown", (event) => {
  if (!keysAreOn() || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (event.key === "/") {
    event.preventDefault();
    closePanel();
    document.getElementById("find")?.select();
    return;
  }
  const link = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
  if (link) {
    event.preventDefault();
    link.click();
  }
});

// A date that is chosen is gone to; where only the times change, only they are fetched.
document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.matches("[data-go]") && field.value) field.form.requestSubmit();
  if (field.matches("[data-times]")) fetchTimes(field).catch(() => field.form.requestSubmit());
});

let timesAsked = 0;
async function fetchTimes(field) {
  const mine = (timesAsked += 1);
  const query = new URLSearchParams(new FormData(field.form));
  const response = await fetch(`${field.dataset.times}?${query}`, { headers: { "X-Fragment": "1" } });
  if (response.status === 401) return leave();
  if (!response.ok) throw new Error(response.statusText);
  const html = await response.text();
  used();
  if (mine !== timesAsked) return;
  document.getElementById("times").innerHTML = html;
  history.replaceState(null, "", `?${query}`);
}

document.querySelector("[data-focus]")?.focus();

// On a phone the rooms are one line that scrolls: it opens at the room one is in.
document
  .querySelector(".side nav [aria-current]")
  ?.scrollIntoView({ block: "nearest", inline: "center" });

// A page nobody uses shows no patient for longer than the session lives.
let idle = setTimeout(leave, IDLE_MS);
function leave() {
  location.reload();
}
function used() {
  clearTimeout(idle);
  idle = setTimeout(leave, IDLE_MS);
}

document.addEventListener("desk:used", used);

// The side panel: a link to one appointment opens beside the board instead of in its place.
let panel = null;
let opener = null;

function closePanel() {
  panel?.close();
}

async function openPanel(address, from) {
  const response = await fetch(address, { headers: { "X-Fragment": "1" } });
  if (response.status === 401) return leave();
  const html = await response.text();
  used();
  if (!panel) {
    panel = document.createElement("dialog");
    panel.className = "panel";
    panel.setAttribute("aria-label", "Appointment");
    panel.addEventListener("close", () => {
      (document.getElementById(opener) ?? document.getElementById("main"))?.focus();
    });
    panel.addEventListener("click", (event) => {
      if (event.target === panel) panel.close(); // beside it
    });
    document.body.append(panel);
  }
  opener = from?.id ?? null;
  panel.innerHTML = html;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button button-plain button-small panel-close";
  close.textContent = "Close";
  close.addEventListener("click", () => panel.close());
  panel.prepend(close);
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest("a[data-visit], a[data-panel]");
  if (!link) return;
  event.preventDefault();
  openPanel(link.href, link).catch(() => location.assign(link.href));
});

// Finding somebody while typing: the first few, below the field. Posted, so no name is in an address.
for (const form of document.querySelectorAll("form[data-search]")) {
  const field = form.querySelector("input[type=search]");
  const results = form.querySelector("[data-results]") ?? form.parentElement.querySelector("[data-results]");
  let asked = 0;
  let waiting = null;
  const ask = async () => {
    const mine = (asked += 1);
    const words = field.value.trim();
    if (words.length < 2) {
      results.replaceChildren();
      return;
    }
    const response = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { "X-Fragment": "1" },
    });
    if (response.status === 401) return leave();
    const html = await response.text();
    if (response.ok && mine === asked) results.innerHTML = html;
    used();
  };
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => ask().catch(() => {}), 200);
  });
}

// A form that must be sent once is sent once.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-once]")) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
