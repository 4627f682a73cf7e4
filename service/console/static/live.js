// Lists that look for changes by themselves: not while their tab is hidden, and with a word when they cannot.
"use strict";
document.addEventListener("htmx:config:request", (event) => {
  const trigger = event.detail.ctx.sourceEvent;
  if (document.hidden && trigger && trigger.type === "every") event.preventDefault();
});
const showState = (isCurrent) => document.body.classList.toggle("stale", !isCurrent);
document.addEventListener("htmx:after:request", (event) => showState(event.detail.ctx.response.raw.ok));
document.addEventListener("htmx:error", () => showState(false));
