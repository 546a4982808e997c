// Makes the pages nicer; every one of them works without it.

import { watchServerDraft } from "./drafts.js";
import { watchFiles } from "./uploads.js";

const KEEP_DAYS = 14;

// Drafts: what was typed survives a reload, a log-out and a closed window, in this browser only.

const draftKey = (form) => `draft:${form.dataset.owner ?? document.body.dataset.visitor}:${form.dataset.draft}`;

function readDraft(key) {
  try {
    const draft = JSON.parse(localStorage.getItem(key) ?? "null");
    return draft && Date.now() - draft.at < KEEP_DAYS * 86400e3 ? draft.values : null;
  } catch {
    return null;
  }
}

function keepDraft(form) {
  const values = {};
  for (const field of form.elements) {
    if (field.name === "form_token") values.form_token = field.value;
    if (!field.name || ["hidden", "file", "password", "submit"].includes(field.type)) continue;
    if (field.type === "radio" || field.type === "checkbox") {
      if (field.checked && field.name !== "kept_files") values[field.name] = field.value;
    } else if (field.value !== field.defaultValue || field.tagName === "SELECT") {
      values[field.name] = field.value;
    }
  }
  try {
    localStorage.setItem(draftKey(form), JSON.stringify({ at: Date.now(), values }));
  } catch {
    // A full or forbidden storage only means that there is no draft.
  }
}

function restoreDraft(form) {
  const values = readDraft(draftKey(form));
  if (!values || form.querySelector(".field-error")) return;
  for (const field of form.elements) {
    if (!(field.name in values) || (field.type === "hidden" && field.name !== "form_token")) continue;
    if (field.name === "form_token") field.value = values.form_token;
    if (field.type === "radio" || field.type === "checkbox") field.checked = field.value === values[field.name];
    else if (field.tagName === "TEXTAREA" || field.tagName === "INPUT") field.value ||= values[field.name];
    else if ([...field.options].some((option) => option.value === values[field.name])) field.value = values[field.name];
  }
}

// Somebody without a log-in is known by this window; what another one typed here is nobody's business.
function forgetOthers(form) {
  const mine = draftKey(form);
  const others = Object.keys(localStorage).filter((key) => key !== mine && /^draft:.*:guest$/.test(key));
  others.forEach((key) => localStorage.removeItem(key));
}

function watchDraft(form) {
  if (form.dataset.owner) forgetOthers(form);
  restoreDraft(form);
  let timer;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => keepDraft(form), 400);
  });
  form.addEventListener("submit", () => keepDraft(form));
}

// The server says with the page it answers with that a form arrived; until then the draft stays.
function forgetSentDraft() {
  const sent = sessionStorage.getItem("sent");
  if (!sent) return;
  sessionStorage.removeItem("sent");
  const { key, path } = JSON.parse(sent);
  const refused = document.querySelector("[data-problem]") || location.pathname.startsWith("/login");
  if (!refused && (location.pathname !== path || document.querySelector(".notice.ok"))) localStorage.removeItem(key);
}

// Sending: one click is one request.

function watchSending(form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    if (form.dataset.draft) {
      sessionStorage.setItem("sent", JSON.stringify({ key: draftKey(form), path: location.pathname }));
    }
    form.dataset.sent = "yes";
    const button = event.submitter ?? form.querySelector("button");
    const status = form.querySelector("[data-progress]");
    if (status && button?.dataset.sending) status.textContent = button.dataset.sending;
  });
}

function watchCopy(button) {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.querySelector("span").textContent = button.dataset.copied;
  });
}

// A visitor without settings: offer the zone of the computer, as long as nothing was chosen.
function offerZone(select) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (select.value === "UTC" && [...select.options].some((option) => option.value === zone)) select.value = zone;
}

function start(root) {
  root.querySelectorAll("form[data-draft]").forEach(watchDraft);
  root.querySelectorAll("[data-files]").forEach(watchFiles);
  root.querySelectorAll("form[data-save]").forEach(watchServerDraft);
  root.querySelectorAll("form[method=post]").forEach(watchSending);
  root.querySelectorAll("[data-copy]").forEach(watchCopy);
  root.querySelectorAll("select[data-zone]").forEach(offerZone);
  root.querySelectorAll(".field-error :is(input, select, textarea)")[0]?.focus();
}

forgetSentDraft();
start(document);

// Back from another page: a form kept by the browser may be sent again.
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
    event.target.form.requestSubmit();
  }
  if (event.key === "Escape") document.querySelectorAll("details.menu[open]").forEach((menu) => (menu.open = false));
});

addEventListener("click", (event) => {
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});
