// Runs the clocks, and shows times in the visitor's time zone. Without it the page shows the same values, without updates.
"use strict";

const pad = (number) => String(number).padStart(2, "0");

/** Formats a duration in its two largest units, as the server does. */
function words(milliseconds) {
  const all = Math.floor(milliseconds / 1000);
  const days = Math.floor(all / 86400);
  const hours = Math.floor(all / 3600) % 24;
  const minutes = Math.floor(all / 60) % 60;
  const seconds = all % 60;
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${pad(minutes)} min`;
  if (minutes > 0) return `${minutes} min ${pad(seconds)} s`;
  return `${seconds} s`;
}

for (const clock of document.querySelectorAll("[data-left]")) {
  // Counted from now, because the visitor's clock may be wrong.
  const end = performance.now() + Number(clock.dataset.left);
  const show = () => {
    const left = end - performance.now();
    clock.textContent = left > 0 ? words(left) : "over";
    clock.classList.toggle("soon", left < 60000);
  };
  show();
  setInterval(show, 1000);
}

for (const moment of document.querySelectorAll("[data-at]")) {
  const at = new Date(Number(moment.dataset.at));
  const today = at.toDateString() === new Date().toDateString();
  moment.title = at.toLocaleString();
  moment.textContent = today ? at.toLocaleTimeString() : at.toLocaleString();
}

// Shows that a slow save is in progress, and prevents a second submission.
for (const form of document.forms) {
  form.addEventListener("submit", () => form.classList.add("sent"));
  addEventListener("pageshow", () => form.classList.remove("sent"));
}
