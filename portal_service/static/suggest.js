// Articles that may answer a request, below the field in which it is written. Without this script a button of the form
// opens them in a new tab.

const WAIT = 180;
const SHORTEST = 3;

const form = document.querySelector("[data-suggestions]")?.closest("form");
const said = document.querySelector("[data-suggestions-said]");
const panel = form && makePanel();
let quietUntil = 0;

function makePanel() {
  const dialog = document.createElement("dialog");
  const close = document.createElement("button");
  const body = document.createElement("div");
  dialog.className = "answer-panel";
  dialog.setAttribute("aria-labelledby", "answer-title");
  close.type = "button";
  close.className = "button icon quiet";
  close.textContent = "✕";
  close.setAttribute("aria-label", document.querySelector("[data-close]")?.dataset.close ?? "✕");
  close.addEventListener("click", () => dialog.close());
  dialog.append(close, body);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
  dialog.addEventListener("submit", forgetDraft);
  document.body.append(dialog);
  return dialog;
}

// "This solved it": the server forgets its copy of the draft, this browser its own.
function forgetDraft() {
  localStorage.removeItem(`draft:${form.dataset.owner ?? document.body.dataset.visitor}:${form.dataset.draft}`);
  form.dispatchEvent(new CustomEvent("draft:abandon", { bubbles: true }));
}

async function open(link) {
  const url = new URL(link.href);
  url.searchParams.set("piece", "");
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.statusText);
    panel.lastElementChild.innerHTML = await answer.text();
  } catch {
    window.open(link.href, "_blank", "noopener");
    return;
  }
  panel.showModal();
  panel.scrollTop = 0;
  panel.querySelector("#answer-title")?.focus();
}

function watch(box) {
  const field = form.elements[box.dataset.suggestions];
  let timer, asking, asked = "", shown = "";

  async function ask() {
    const text = field.value.trim();
    if (text === asked || Date.now() < quietUntil) return;
    asked = text;
    asking?.abort();
    if (text.length < SHORTEST) return show("");
    asking = new AbortController();
    const sent = new FormData();
    for (const name of ["csrf_token", "form_token"]) sent.set(name, form.elements[name]?.value ?? "");
    sent.set("about", field.name);
    sent.set(field.name, text.slice(-600));
    try {
      const answer = await fetch(box.dataset.url, { method: "POST", body: sent, signal: asking.signal });
      if (answer.status === 429) quietUntil = Date.now() + 1000 * Number(answer.headers.get("Retry-After") || 60);
      show(answer.status === 200 ? await answer.text() : "");
    } catch {
      // Aborted by the next letter, or offline: the form works without suggestions.
    }
  }

  // The list is told to a screen reader once, not with every letter that leaves it as it is.
  function show(html) {
    box.innerHTML = html;
    box.hidden = !html;
    const links = [...box.querySelectorAll("a")].map((link) => link.pathname).join();
    if (links && links !== shown) said.textContent = box.querySelector("[data-said]").textContent;
    if (!links) said.textContent = "";
    shown = links;
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT);
  });
  field.addEventListener("change", ask);
  box.addEventListener("click", (event) => {
    const link = event.target.closest("[data-answer]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(link);
  });
  ask();
}

if (form) {
  document.querySelectorAll("[data-suggestions-step]").forEach((button) => button.remove());
  form.querySelectorAll("[data-suggestions]").forEach(watch);
}
