// Comfort only: every page works without it.

function close(details) {
  details.open = false;
  details.querySelector("form").reset();
}

function isTouched(details) {
  return [...details.querySelectorAll("input, textarea")].some((input) => input.value !== input.defaultValue)
    || [...details.querySelectorAll("option")].some((option) => option.selected !== option.defaultSelected);
}

function closeUntouched(except) {
  for (const details of document.querySelectorAll("details.edit[open]")) {
    if (details !== except && !isTouched(details)) close(details);
  }
}

document.addEventListener("toggle", (event) => {
  const details = event.target;
  if (!details.open || !details.matches("details.edit, details.add")) return;
  closeUntouched(details);
  details.querySelector("select, textarea, input:not([type=hidden])").focus();
}, true);

document.addEventListener("pointerdown", (event) => closeUntouched(event.target.closest("details.edit")));

document.addEventListener("click", (event) => {
  const cancel = event.target.closest("[data-close]");
  if (!cancel) return;
  const details = cancel.closest("details");
  event.preventDefault();
  close(details);
  details.querySelector("summary").focus();
});

document.addEventListener("keydown", (event) => {
  const details = event.target.closest?.("details.edit[open]");
  if (event.key === "Escape" && details) {
    close(details);
    details.querySelector("summary").focus();
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
    event.target.form?.requestSubmit();
  }
});

// A filter takes effect when it is chosen; without this the Search button does the same.
document.querySelector("form.filters")?.addEventListener("change", (event) => {
  if (event.target.matches("select")) event.currentTarget.requestSubmit();
});

// A form that is being sent is not sent twice.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  if (event.target.method === "post") event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
