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

// Shows the messages of the page's connection as they arrive, and continues after the last one that it has received.
const stream = document.querySelector("#stream");
if (stream) {
  const log = stream.querySelector("#log");
  const toggle = stream.querySelector("#offline");
  let source = null;
  let isLeft = false;
  addEventListener("beforeunload", () => (isLeft = true));
  addEventListener("pageshow", () => (isLeft = false));

  /** Adds a line to the list. */
  function show(text, note) {
    const line = document.createElement("li");
    const what = document.createElement("span");
    what.textContent = text;
    const badge = document.createElement("span");
    badge.className = "badge";
    badge.textContent = note;
    line.append(what, badge);
    log.prepend(line);
    while (log.children.length > 20) log.lastElementChild.remove();
  }

  /** Keeps the cursor for this tab, also over a reload. */
  function keep(event) {
    sessionStorage.setItem("cursor", event.lastEventId);
  }

  function connect() {
    const after = sessionStorage.getItem("cursor");
    const path = stream.dataset.events;
    source = new EventSource(after ? `${path}?after=${encodeURIComponent(after)}` : path);
    source.addEventListener("connection", keep);
    source.addEventListener("message", (event) => {
      keep(event);
      show(event.data, "delivered");
    });
    source.addEventListener("gap", (event) => {
      keep(event);
      show("Some messages may be missing here.", "gap");
    });
    source.addEventListener("end", () => {
      sessionStorage.removeItem("cursor");
      source.close();
      // The session has ended elsewhere: the page says why. If it was ended here, the next page is under way.
      if (!isLeft) location.reload();
    });
    source.addEventListener("error", () => {
      // 204 and refusals close the source for good, and the next page begins anew. A page that is left closes it as well.
      if (source.readyState === EventSource.CLOSED && !isLeft) sessionStorage.removeItem("cursor");
    });
  }

  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    const goes = source.readyState !== EventSource.CLOSED;
    if (goes) source.close();
    else connect();
    toggle.textContent = goes ? "Come back" : "Go offline";
  });
  connect();
}
