// Small comforts. Every page works the same without them.

const summary = document.querySelector("[data-focus]");
if (summary) summary.focus();

// The button repeats the choice in words.
const choice = document.querySelector("[data-choice]");
if (choice) {
  const say = () => {
    const chosen = document.querySelector("input[name=start]:checked");
    if (chosen) choice.textContent = chosen.dataset.words;
  };
  document.addEventListener("change", say);
  window.addEventListener("pageshow", say); // after Back the browser checks the old choice again
  say();
}

// The chosen day is brought into the strip's view, without moving the page.
const strip = document.querySelector(".days");
const day = strip && strip.querySelector("[aria-current], .here");
if (day) strip.scrollLeft = day.offsetLeft - strip.offsetLeft - (strip.clientWidth - day.offsetWidth) / 2;

// Close the language menu with Escape or a tap beside it.
const menu = document.querySelector(".languages");
if (menu) {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

// Two minutes before a kept time runs out its box changes and says so.
const held = document.querySelector(".held[data-until]");
if (held && held.dataset.until) {
  const left = Date.parse(held.dataset.until) - Number(held.dataset.now) - 120_000;
  const warn = () => {
    held.classList.add("late");
    held.querySelector("[role=status]").textContent = held.dataset.warning;
  };
  if (left > 0) setTimeout(warn, left);
  else warn();
}

// A second press of the same button sends nothing; the server would book only once anyway.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  else if (event.target.method === "post") event.target.dataset.sent = "1";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
