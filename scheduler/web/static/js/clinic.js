// The clock at the chair: minutes go on by themselves between two looks at the server.

const clock = document.querySelector("[data-clock]");
if (clock) {
  const since = Date.parse(clock.dataset.since);
  const of = Number(clock.dataset.of);
  const bar = document.querySelector(".stage .bar-done");
  const tick = () => {
    const minutes = Math.max(0, Math.floor((Date.now() - since) / 60000));
    if (minutes > 24 * 60) return; // the tablet's clock is not ours
    clock.firstChild.textContent = `${clock.dataset.word} ${minutes} of ${of} `;
    bar?.setAttribute("width", String(Math.min(minutes, of)));
  };
  setInterval(tick, 10_000);
}

// Vital signs by the clock, of this patient and of the others in the chairs: said once when they
// fall due, politely, and it stays to be seen. The server's clock counts; of the tablet's only how
// long this page has been open.

const opened = Date.now();
const said = document.querySelector("#look-said");
let looks = [...document.querySelectorAll("[data-look]")]
  .map((look) => ({ look, left: Date.parse(look.dataset.look) - Date.parse(look.dataset.now) }))
  .filter(({ left }) => left > 0);
const watch = setInterval(() => {
  const due = looks.filter(({ left }) => Date.now() - opened >= left);
  for (const { look } of due) {
    look.textContent = look.dataset.due;
    look.parentElement.classList.add("is-due");
    look.parentElement.hidden = false;
  }
  if (due.length) said.textContent = due.map(({ look }) => look.dataset.due).join(" ");
  looks = looks.filter((one) => !due.includes(one));
  if (!looks.length) clearInterval(watch);
}, 1000);

const print = document.querySelector("[data-print]");
if (print) {
  print.hidden = false;
  print.addEventListener("click", () => window.print());
}

// Typing into a form that asks the server while it is filled in is use of the page.
document.addEventListener("htmx:after:request", () => document.dispatchEvent(new Event("desk:used")));
