// The simulated phone shows a new text by itself, and sends on Enter.

const talk = () => document.getElementById("talk");
const toEnd = () => {
  talk().scrollTop = talk().scrollHeight;
};
toEnd();

async function look() {
  const response = await fetch(location.href, { headers: { "X-Poll": "1" } });
  if (response.status === 401) return location.reload();
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.getElementById("talk");
  if (!fresh || fresh.children.length === talk().children.length) return;
  talk().replaceWith(document.adoptNode(fresh));
  toEnd();
}

setInterval(() => {
  if (!document.hidden) look().catch(() => {});
}, 3000);

document.getElementById("body")?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    if (event.target.value.trim()) event.target.form.requestSubmit();
  }
});
