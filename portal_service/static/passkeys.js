// Asks the browser for a passkey, or to make one, and sends its answer with the form.

async function ask(form, makes) {
  const answer = await fetch(form.dataset.options, {
    method: "POST",
    headers: { "X-CSRFToken": form.elements.csrf_token.value },
  });
  if (!answer.ok || answer.redirected) throw new Error("no options");
  const options = await answer.json();
  const credential = makes
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  form.elements.credential.value = JSON.stringify(credential.toJSON());
  form.submit();
}

function watch(form) {
  const button = form.querySelector("[data-passkey-button]");
  const trouble = form.querySelector("[data-passkey-trouble]");
  const makes = form.dataset.passkey === "make";
  form.hidden = false;
  form.querySelectorAll("[data-passkey-without]").forEach((text) => text.remove());
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    trouble.hidden = true;
    try {
      await ask(form, makes);
    } catch {
      trouble.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
}

const isAble = window.PublicKeyCredential?.parseCreationOptionsFromJSON && window.isSecureContext;
if (isAble) document.querySelectorAll("form[data-passkey]").forEach(watch);
