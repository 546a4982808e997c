// Renews the list when a mail arrives; a search stays as it is.
const list = document.querySelector("[data-newest]");
const shown = list?.dataset.newest;

async function look() {
  try {
    const { newest } = await (await fetch("/api/newest")).json();
    if ((newest ?? "none") !== shown) location.reload();
  } catch {
    // The mail catcher is being restarted; the next look will tell.
  }
}

if (shown) setInterval(look, 2000);
