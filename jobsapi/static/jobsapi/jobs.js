// Keeps times going between two refreshes, and says so when the site does not answer. Rows are refreshed by htmx.
"use strict";

const clock = document.querySelector("[data-now]");
const offline = document.getElementById("offline");
// The server's clock counts: the browser's may be wrong.
const ahead = clock ? Date.parse(clock.dataset.now) - Date.now() : 0;

// As duration() in jobsapi/web/rows.py.
function duration(milliseconds) {
  const seconds = Math.max(Math.floor(milliseconds / 1000), 0);
  for (const [unit, name, smaller, itsName] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= unit) {
      return `${Math.floor(seconds / unit).toLocaleString("en")} ${name} ${Math.floor((seconds % unit) / smaller)} ${itsName}`;
    }
  }
  return `${seconds} s`;
}

function tick() {
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll("time[data-ago][datetime]")) {
    const text = duration(now - Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}

if (clock) setInterval(tick, 1000);

if (offline) {
  const time = offline.querySelector("time");
  const answered = () => {
    time.dateTime = new Date(Date.now() + ahead).toISOString();
    offline.hidden = true;
  };
  answered();
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) answered();
    else offline.hidden = false;
  });
}
