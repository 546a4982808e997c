// Drafts of requests: saved on the server while typing, and in this browser for as long as the server has not got them.

const SAVE_AFTER = 1000;
const RETRY_AFTER = 15000;
const KEEP_DAYS = 30;
const NOT_KEPT = ["csrf_token", "rescue", "draft_revision", "kept_files", "force"];

function readForm(form) {
  const values = {};
  for (const field of form.elements) {
    if (!field.name || NOT_KEPT.includes(field.name) || ["file", "submit", "button", "password"].includes(field.type)) continue;
    if (["radio", "checkbox"].includes(field.type) && !field.checked) continue;
    values[field.name] = field.value;
  }
  return values;
}

function fillForm(form, values) {
  for (const field of form.elements) {
    if (!(field.name in values)) continue;
    if (["radio", "checkbox"].includes(field.type)) field.checked = field.value === values[field.name];
    else if (field.tagName !== "SELECT" || [...field.options].some((one) => one.value === values[field.name])) {
      field.value = values[field.name];
    }
  }
}

// Words that were typed; the token of the form is none of them.
const words = (values) => JSON.stringify({ ...values, form_token: "" }, Object.keys({ ...values, form_token: "" }).sort());

export function watchServerDraft(form) {
  const key = `draft:${document.body.dataset.visitor}:${form.dataset.save}`;
  const shown = form.querySelector("[data-draft-status]");
  const texts = shown.dataset;
  const revision = form.elements.draft_revision;
  let timer = 0;
  let running = null;
  let changed = false;
  let force = false;
  let stopped = false;

  function keepHere() {
    const copy = { at: Date.now(), base: revision.value, values: readForm(form), files: form.filesThatArrived?.() ?? [] };
    try {
      localStorage.setItem(key, JSON.stringify(copy));
    } catch {
      // A full or forbidden storage only means that there is no copy here.
    }
  }

  function readHere() {
    try {
      return JSON.parse(localStorage.getItem(key) ?? "null");
    } catch {
      return null;
    }
  }

  const forgetHere = () => localStorage.removeItem(key);

  function say(text, ...more) {
    shown.replaceChildren(text, ...more.flatMap((one) => [" ", one]));
  }

  function choice(text, act) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: text });
    button.addEventListener("click", act);
    return button;
  }

  function link(text, href, blank) {
    const made = Object.assign(document.createElement("a"), { href, textContent: text });
    if (blank) Object.assign(made, { target: "_blank", rel: "opener" });
    return made;
  }

  function later(delay) {
    clearTimeout(timer);
    timer = setTimeout(save, delay);
  }

  async function save({ keepalive = false } = {}) {
    clearTimeout(timer);
    if (stopped || running) return;
    changed = false;
    running = new AbortController();
    const body = new FormData(form);
    body.delete("files");
    if (force) body.set("force", "yes");
    try {
      await heard(await fetch(form.dataset.save, request({ method: "POST", body, keepalive, signal: running.signal })));
    } catch (error) {
      if (error.name !== "AbortError") away();
    } finally {
      running = null;
      if (changed) later(SAVE_AFTER);
    }
  }

  const request = (more) => ({ headers: { Accept: "application/json" }, redirect: "manual", ...more });

  async function heard(answer) {
    if (answer.type === "opaqueredirect") return loggedOut();
    if (answer.status === 400) return (await freshToken()) ? later(0) : undefined;
    if (answer.status >= 500) return away();
    const said = await answer.json();
    if (answer.ok) return saved(said);
    if (said.filed) return filed(said.filed);
    if (said.revision !== undefined) return elsewhere(said);
    return say(said.error ?? texts.away);
  }

  function saved({ revision: number, saved: time }) {
    force = false;
    revision.value = number || "";
    if (!changed) forgetHere();
    say(number ? texts.saved.replace("{time}", time) : "");
  }

  function away() {
    say(texts.away);
    later(RETRY_AFTER);
  }

  function filed(number) {
    stopped = true;
    forgetHere();
    say(texts.filed, link(`#${number}`, texts.ticket.replace("0", number)));
  }

  function elsewhere(said) {
    stopped = true;
    say(
      said.error,
      choice(texts.keepThis, () => {
        stopped = false;
        force = true;
        save();
      }),
      choice(texts.showOther, () => {
        forgetHere();
        location.reload();
      }),
    );
  }

  function loggedOut() {
    // The server kept it for its owner all the same; from now on its revision is not known here.
    force = true;
    say(texts.loggedOut, link(texts.logIn, texts.logInUrl, true));
  }

  // True when the visitor is the one whose page this is; its form can be sent again then.
  async function freshToken() {
    let answer;
    try {
      answer = await fetch(form.dataset.token, request({}));
    } catch {
      away();
      return false;
    }
    if (!answer.ok) {
      loggedOut();
      return false;
    }
    const { csrf_token: token, visitor } = await answer.json();
    if (visitor !== document.body.dataset.visitor) {
      stopped = true;
      say(texts.somebodyElse);
      return false;
    }
    document.querySelectorAll("input[name=csrf_token]").forEach((input) => (input.value = token));
    return true;
  }

  function restore(copy) {
    fillForm(form, copy.values);
    form.querySelector("[data-files]")?.dispatchEvent(new CustomEvent("restore-files", { detail: copy.files ?? [] }));
    form.querySelectorAll("details").forEach((one) => {
      one.open ||= [...one.querySelectorAll("input, textarea")].some((field) => field.value && field.value !== field.defaultValue);
    });
  }

  function lookHere() {
    const copy = readHere();
    if (!copy) return;
    const tokens = (files) => files.map((file) => file.token).sort().join();
    const sameFiles = tokens(copy.files ?? []) === tokens(form.filesThatArrived?.() ?? []);
    const same = sameFiles && words(copy.values) === words(readForm(form));
    if (same || document.querySelector("[data-problem]") || Date.now() - copy.at > KEEP_DAYS * 86400e3) {
      forgetHere();
    } else if (copy.base === revision.value) {
      restore(copy);
      save();
    } else {
      say(
        texts.found,
        choice(texts.useIt, () => {
          force = true;
          restore(copy);
          save();
        }),
        choice(texts.dropIt, () => {
          forgetHere();
          say("");
        }),
      );
    }
  }

  form.addEventListener("input", () => {
    if (stopped) {
      keepHere();
      return;
    }
    changed = true;
    keepHere();
    later(SAVE_AFTER);
  });
  form.addEventListener("change", () => later(SAVE_AFTER / 2));
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    stopped = true;
    clearTimeout(timer);
    running?.abort();
    keepHere();
    sessionStorage.setItem("sent", JSON.stringify({ key, path: location.pathname }));
  });
  form.addEventListener("draft:abandon", () => {
    stopped = true;
    clearTimeout(timer);
    running?.abort();
    forgetHere();
  });
  addEventListener("online", () => changed || readHere() ? save() : undefined);
  addEventListener("focus", async () => {
    if (force && (await freshToken())) save();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden" && changed) save({ keepalive: true });
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) stopped = false;
  });
  lookHere();
}
