"use strict";

// The policy allows no inline script, so the page's settings are here.
SwaggerUIBundle({
  url: document.getElementById("api-docs").dataset.url,
  dom_id: "#api-docs",
  deepLinking: true,
  docExpansion: "none",
  persistAuthorization: false,
  validatorUrl: null,
});
