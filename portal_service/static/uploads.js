// Files of a form: chosen, dropped, pasted or photographed. Each is checked and uploaded at once, shows how far it is
// and can be taken out again; the form itself only names them. Without this script the form sends them itself.

const bytes = (count) =>
  count < 1024 * 1024 ? `${Math.max(1, Math.round(count / 1024))} kB` : `${(count / 1024 / 1024).toFixed(1)} MB`;

const stamp = () => new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");

export function watchFiles(box) {
  const form = box.closest("form");
  const list = box.querySelector(".chosen");
  const inputs = [...box.querySelectorAll("input[type=file]")];
  const status = form.querySelector("[data-progress]");
  const words = box.dataset;
  const chosen = new Set();
  let waiting = null;

  function element(name, properties) {
    return Object.assign(document.createElement(name), properties);
  }

  function take(name, size) {
    const entry = { name, size, state: "waiting", item: element("li"), progress: element("progress", { max: 100, value: 0 }) };
    entry.label = element("span", { className: "file-name", textContent: `${name} · ${bytes(size)}` });
    entry.say = element("span", { className: "small" });
    entry.remove = button(words.remove.replace("{name}", name), "✕", () => drop(entry));
    entry.progress.setAttribute("aria-label", words.uploading.replace("{name}", name));
    entry.item.append(entry.label, entry.progress, entry.say, entry.remove);
    chosen.add(entry);
    list.append(entry.item);
    return entry;
  }

  function button(label, text, act) {
    const made = element("button", { type: "button", className: "button small quiet", textContent: text });
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  }

  function drop(entry) {
    chosen.delete(entry);
    entry.request?.abort();
    entry.item.remove();
    if (entry.token) fetch(`${words.upload}/${entry.token}/delete`, { method: "POST", body: withToken() }).catch(() => {});
    show();
    inputs[0].focus();
    tell();
  }

  function arrived(entry, token) {
    entry.state = "arrived";
    entry.token = token;
    entry.progress.remove();
    entry.say.className = "small muted";
    entry.say.textContent = words.arrived;
    entry.item.append(element("input", { type: "hidden", name: "kept_files", value: token }));
    tell();
  }

  function refused(name, text) {
    const item = element("li", { className: "refused" });
    const shown = element("span", { textContent: text });
    item.append(shown, button(words.dismiss.replace("{name}", name), "✕", () => (item.remove(), show())));
    list.append(item);
  }

  function failed(entry, text, again) {
    entry.state = "failed";
    entry.progress.hidden = true;
    entry.say.className = "error small";
    entry.say.textContent = text;
    if (!again) return;
    entry.again = button(words.retry.replace("{name}", entry.name), words.retryShort, () => {
      entry.again.remove();
      send(entry);
    });
    entry.remove.before(entry.again);
  }

  function withToken() {
    const body = new FormData();
    body.set("csrf_token", form.elements.csrf_token.value);
    return body;
  }

  function send(entry) {
    const request = (entry.request = new XMLHttpRequest());
    const body = withToken();
    body.set("file", entry.file, entry.name);
    entry.state = "uploading";
    entry.say.textContent = "";
    entry.progress.hidden = false;
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      entry.progress.value = Math.round((event.loaded / event.total) * 100);
      entry.say.textContent = `${bytes(event.loaded)} / ${bytes(event.total)}`;
    });
    request.addEventListener("load", () => answer(entry, request));
    request.addEventListener("error", () => (failed(entry, words.failed, true), settle()));
    request.open("POST", words.upload);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.send(body);
  }

  function answer(entry, request) {
    if (request.status === 201) arrived(entry, request.response.token);
    else if (request.response?.error && request.status === 422) {
      chosen.delete(entry);
      entry.item.remove();
      refused(entry.name, request.response.error);
    } else failed(entry, request.response?.error ?? words.failed, true);
    settle();
  }

  function problem(file) {
    const ending = file.name.includes(".") ? file.name.split(".").pop().toLowerCase() : "";
    const total = [...chosen].reduce((sum, entry) => sum + entry.size, file.size);
    if (!words.kinds.split(" ").includes(ending)) return words.kind;
    if (!file.size) return words.empty;
    if (file.size > Number(words.limit)) return words.tooLarge;
    if (total > Number(words.total)) return words.tooMuch;
    return chosen.size >= Number(words.count) ? words.tooMany : "";
  }

  function add(files) {
    for (const file of files) {
      const wrong = problem(file);
      if (wrong) {
        refused(file.name, wrong.replaceAll("{name}", file.name));
        continue;
      }
      const entry = take(file.name, file.size);
      entry.file = file;
      send(entry);
    }
    show();
  }

  const show = () => (list.hidden = !list.children.length);
  // Whoever keeps a draft of this form hears of its files as of its fields.
  const tell = () => form.dispatchEvent(new Event("input", { bubbles: true }));
  const busy = () => [...chosen].filter((entry) => entry.state === "uploading");
  const broken = () => [...chosen].filter((entry) => entry.state === "failed");

  function settle() {
    show();
    if (!waiting || busy().length) return;
    const submitter = waiting;
    waiting = null;
    if (status) status.textContent = "";
    if (broken().length || list.querySelector(".refused")) list.scrollIntoView({ block: "center" });
    else form.requestSubmit(submitter.button);
  }

  // What the server already has comes with the page as check boxes.
  for (const kept of box.querySelectorAll(".kept")) {
    const field = kept.querySelector("input");
    arrivedBefore(field.value, field.dataset.name, Number(field.dataset.size));
    kept.remove();
  }

  function arrivedBefore(token, name, size) {
    if ([...chosen].some((entry) => entry.token === token)) return;
    const entry = take(name, size);
    entry.state = "arrived";
    entry.token = token;
    entry.progress.remove();
    entry.say.className = "small muted";
    entry.say.textContent = words.arrived;
    entry.item.append(element("input", { type: "hidden", name: "kept_files", value: token }));
  }

  box.addEventListener("restore-files", (event) => {
    event.detail.forEach((file) => arrivedBefore(file.token, file.name, file.size));
    show();
  });
  form.filesThatArrived = () =>
    [...chosen].filter((entry) => entry.token).map(({ token, name, size }) => ({ token, name, size }));

  for (const input of inputs) {
    input.addEventListener("change", () => {
      const picked = [...input.files];
      input.value = "";
      add(picked);
    });
  }
  form.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (!pasted.length) return;
    event.preventDefault();
    add(pasted.map((file) => (file.name === "image.png" ? new File([file], `Screenshot ${stamp()}.png`, { type: file.type }) : file)));
  });
  const area = box.querySelector(".drop");
  for (const name of ["dragenter", "dragover"]) {
    form.addEventListener(name, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      area.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) form.addEventListener(name, () => area.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    add([...event.dataTransfer.files]);
  });
  // First of all listeners: a form whose files are still on their way waits for them, then sends itself.
  form.addEventListener(
    "submit",
    (event) => {
      if (!busy().length && !broken().length) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (broken().length) list.scrollIntoView({ block: "center" });
      else {
        waiting = { button: event.submitter };
        if (status) status.textContent = words.waiting;
      }
    },
    { capture: true },
  );
  box.querySelector(".drop-hint").hidden = false;
  show();
}
