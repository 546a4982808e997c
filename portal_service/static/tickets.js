// Makes the pages of a ticket quicker; every one of them works without it.

const POLL_SECONDS = 10;
const POLL_AT_MOST = 60;

const pageOf = async (response) => new DOMParser().parseFromString(await response.text(), "text/html");

// Preview: the page that the button leads to is asked for in the background, and only its preview is shown here.

async function preview(button) {
  const form = button.form;
  const sent = new FormData(form, button);
  sent.delete("files");
  const answer = await fetch(form.action, { method: "POST", body: sent, credentials: "same-origin" });
  const page = await pageOf(answer);
  const shown = page.querySelector(`form[action="${form.getAttribute("action")}"] [data-previewed]`);
  if (!shown) throw new Error("no preview");
  form.querySelector("[data-previewed]")?.remove();
  button.closest(".preview-line").after(shown);
  shown.focus();
}

addEventListener("click", (event) => {
  const button = event.target.closest("button[data-preview]");
  if (!button) return;
  event.preventDefault();
  // Without an answer in the background the browser goes there itself; the draft stays either way.
  preview(button).catch(() => {
    button.removeAttribute("data-preview");
    button.click();
  });
});

// Tabs: arrow keys go from one to the next; each is a link with an address of its own.

addEventListener("keydown", (event) => {
  const here = event.target.closest("[data-tabs] a");
  if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
  const tabs = [...here.closest("[data-tabs]").querySelectorAll("a")];
  const place = tabs.indexOf(here);
  const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  tabs[(to + tabs.length) % tabs.length].focus();
});

// How well the Case mirrors the ticket: said anew while somebody looks, as "4 s ago" does not stay true.

function watchFreshness(line) {
  let asked = 0;
  const timer = setInterval(async () => {
    if (document.hidden) return;
    asked += 1;
    if (asked > POLL_AT_MOST) {
      clearInterval(timer);
      line.hidden = true;
      return;
    }
    const answer = await fetch(line.dataset.freshness, { credentials: "same-origin" }).catch(() => null);
    const said = answer?.ok && !answer.redirected ? (await pageOf(answer)).querySelector(".sync") : null;
    if (said) line.replaceChildren(said);
  }, POLL_SECONDS * 1000);
}

document.querySelectorAll("[data-freshness]").forEach(watchFreshness);

document.querySelectorAll("[data-print]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => print());
});

document.querySelectorAll("[data-mark-all]").forEach((all) => {
  all.hidden = false;
  all.addEventListener("change", () => {
    document.querySelectorAll("td.mark input").forEach((one) => (one.checked = all.checked));
  });
});
