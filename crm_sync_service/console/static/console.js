// Refreshes the parts marked data-live every few seconds; without it the page is as it was when it was asked for.

const seconds = Number(document.body.dataset.refresh);
let failingSince = null;

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Unattended": "1" }, redirect: "error" });
    if (!answer.ok) throw new Error(`the console answered ${answer.status}`);
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    failingSince = null;
    say(`Refreshed every ${seconds} s.`);
  } catch {
    failingSince ??= new Date();
    say(`Not refreshed since ${failingSince.toISOString().slice(11, 19)} UTC: the console does not answer. Reload to log in again.`);
  }
}

function show(fresh) {
  document.title = fresh.title;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    // What somebody is using right now stays as it is.
    if (next && next.outerHTML !== part.outerHTML && !part.contains(document.activeElement)) part.replaceWith(next);
  }
}

// On a phone the menu is wider than the screen: the page one is on stays in sight.
document.querySelector(".nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

function say(words) {
  for (const place of document.querySelectorAll("[data-refresh-state]")) place.textContent = words;
}

if (seconds > 0) {
  say(`Refreshed every ${seconds} s.`);
  setInterval(refresh, seconds * 1000);
}
