// What pages of jobs do in the browser beside htmx, which refreshes the rows: times that go on, questions before
// something is done, menus, selections, and words when the site does not answer. Pages work without it.
"use strict";

(() => {
  const clock = document.querySelector("[data-now]");
  // The server's clock counts: the browser's may be wrong.
  const ahead = clock ? Date.parse(clock.dataset.now) - Date.now() : 0;
  const inside = (element, selector) => (element instanceof Element ? element.closest(selector) : null);

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
  setInterval(tick, 1000);

  // When each scheduler last told how its jobs are: said once for all rows that show it.
  document.addEventListener("jobs-seen", ({ detail }) => {
    for (const time of document.querySelectorAll(".jobsapi time[data-seen]")) {
      const moment = detail[time.dataset.seen];
      if (moment) time.dateTime = moment;
    }
    tick();
  });

  // Whether the site answers.
  const offline = document.querySelectorAll("#offline, [data-offline]");
  function answered() {
    for (const notice of offline) {
      notice.querySelector("time").dateTime = new Date(Date.now() + ahead).toISOString();
      notice.hidden = true;
    }
  }
  answered();
  document.addEventListener("htmx:afterRequest", ({ detail, target }) => {
    if (!inside(target, ".jobsapi")) return;
    const status = detail.xhr ? detail.xhr.status : 0;
    if (detail.successful) answered();
    else if (status === 0 || status >= 500) offline.forEach((notice) => (notice.hidden = false));
    else if (status === 403 && !inside(target, "[data-shows]")) expired(target);
    else if (status === 404) document.body.dispatchEvent(new Event("jobs-changed")); // the job is gone
  });

  function expired(element) {
    const notice = (inside(element, ".jobsapi-table") || document).querySelector("[data-expired]");
    if (notice) notice.hidden = false;
  }
  document.addEventListener("jobs-expired", ({ target }) => expired(target));

  // A page that nobody sees asks nothing; when it is seen again, it asks at once.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && inside(event.target, ".poll, .alive")) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.body.dispatchEvent(new Event("jobs-changed"));
  });

  // A row in which somebody is busy waits for the next refresh; it still says that it is of an older version.
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target } = event.detail;
    if (!inside(target, ".jobsapi")) return;
    const selection = document.getSelection();
    const isSelecting = selection && !selection.isCollapsed && target.contains(selection.anchorNode);
    // A question is about what stood there when it was asked, and its answer is sent by the button that asked.
    const isAsked = document.querySelector(".jobsapi dialog.ask[open]") && !target.matches("[role=status]");
    const isBusy = isAsked
      || (target.matches("tbody, [id$='-list']") && (target.querySelector("details.menu[open]") || isSelecting));
    const isSame = target.matches("[role=status].unseen") && target.textContent === event.detail.fragment.textContent;
    if (isBusy || isSame) event.detail.shouldSwap = false;
  });

  // Questions, in a dialog of the page.
  function ask(dialog, question, label, answered) {
    dialog.querySelector("p").textContent = question;
    dialog.querySelector(".yes").textContent = label || "OK";
    dialog.returnValue = "no";
    const opener = document.activeElement;
    dialog.addEventListener("close", () => {
      const back = document.getElementById(opener.id);
      const menu = back && back.closest("details.menu:not([open])");
      if (back) (menu ? menu.querySelector("summary") : back).focus();
      if (dialog.returnValue === "yes") answered();
    }, { once: true });
    closeMenus();
    dialog.showModal();
    dialog.querySelector(".no").focus();
  }
  document.addEventListener("htmx:confirm", (event) => {
    const { question, elt } = event.detail;
    const scope = inside(elt, ".jobsapi-table") || document;
    const dialog = scope.querySelector("dialog.ask");
    if (!question || !dialog || !inside(elt, ".jobsapi")) return;
    event.preventDefault();
    const count = scope.querySelectorAll('[name="job"]:checked').length;
    ask(dialog, question.replace("{n}", count), elt.dataset.yes, () => event.detail.issueRequest(true));
  });
  // Of a form that htmx does not send, whose button may be replaced while the question is open.
  document.addEventListener("submit", (event) => {
    const { target, submitter } = event;
    const dialog = submitter && submitter.dataset.asks && inside(target, ".jobsapi") && document.querySelector("dialog.ask");
    if (!dialog) return;
    event.preventDefault();
    const answer = Object.assign(document.createElement("form"), { method: "post", action: submitter.formAction, hidden: true });
    const given = [...new FormData(target), [submitter.name, submitter.value], ["confirmed", "yes"]];
    for (const [name, value] of given.filter(([name]) => name)) {
      answer.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    const question = submitter.dataset.asks.replace("{part}", () => new FormData(answer).get("part"));
    ask(dialog, question, submitter.dataset.yes, () => {
      document.body.append(answer);
      answer.submit();
    });
  });

  // What is fetched into a dialog; and a cover while something long is done.
  const show = (element) => {
    const dialog = (inside(element, ".jobsapi-table") || document).querySelector("dialog.show");
    if (dialog && !dialog.open) dialog.showModal();
  };
  document.addEventListener("htmx:afterSwap", ({ target }) => {
    if (target.matches("dialog.show > div")) {
      closeMenus();
      show(target);
    }
  });
  const overlay = (event) => inside(event.target, "[data-overlay]")
    && inside(event.target, ".jobsapi-table").querySelector("dialog.overlay");
  document.addEventListener("htmx:beforeRequest", (event) => {
    const dialog = overlay(event);
    if (dialog && !dialog.open) dialog.showModal();
  });
  document.addEventListener("htmx:afterRequest", (event) => overlay(event)?.close());
  document.addEventListener("cancel", (event) => {
    if (inside(event.target, "dialog.overlay")) event.preventDefault();
  }, true);

  // Menus: one at a time; Escape and a click elsewhere close them, arrow keys walk through them.
  function closeMenus(but) {
    for (const menu of document.querySelectorAll(".jobsapi details.menu[open]")) if (menu !== but) menu.open = false;
  }
  document.addEventListener("toggle", ({ target }) => {
    if (target instanceof Element && target.matches(".jobsapi details.menu[open]")) closeMenus(target);
  }, true);
  document.addEventListener("click", (event) => {
    const menu = inside(event.target, ".jobsapi details.menu");
    if (!menu || inside(event.target, ".menu :is(button, .button):not(:disabled)")) closeMenus();
  });
  document.addEventListener("keydown", (event) => {
    const menu = inside(event.target, ".jobsapi details.menu");
    if (!menu) return;
    const summary = menu.querySelector("summary");
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      summary.focus();
    } else if (["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) {
      event.preventDefault();
      menu.open = true;
      const items = [...menu.querySelectorAll("button:not(:disabled), a[href]")];
      const at = items.indexOf(document.activeElement);
      const next = { ArrowDown: at + 1, ArrowUp: at < 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 }[event.key];
      items.at(next % items.length)?.focus();
    }
  });

  // Selections.
  const boxes = (table) => [...table.querySelectorAll('[name="job"]')];
  function recount(table) {
    const all = boxes(table), chosen = all.filter((box) => box.checked).length;
    const words = table.querySelector("[data-count]");
    if (words) words.textContent = chosen === 1 ? "1 job selected:" : `${chosen} jobs selected:`;
    const page = table.querySelector('[data-select="page"]');
    if (page) {
      page.checked = chosen > 0 && chosen === all.length;
      page.indeterminate = chosen > 0 && chosen < all.length;
    }
  }
  function select(table, isChosen) {
    for (const box of boxes(table)) box.checked = isChosen;
    recount(table);
  }
  document.addEventListener("change", ({ target }) => {
    const table = inside(target, ".jobsapi-table");
    if (!table || !target.matches('[name="job"], [data-select]')) return;
    if (target.matches("[data-select]")) select(table, target.checked);
    else recount(table);
  });
  document.addEventListener("click", ({ target }) => {
    const button = inside(target, ".jobsapi-table button[data-select]");
    if (button) select(inside(button, ".jobsapi-table"), button.dataset.select === "all");
  });
  document.addEventListener("jobs-over", ({ target }) => {
    const table = inside(target, ".jobsapi-table");
    if (table) select(table, false);
  });
  function unhide() {
    for (const table of document.querySelectorAll(".jobsapi-table")) {
      for (const each of table.querySelectorAll("[data-select-label], button[data-select]")) each.hidden = false;
      recount(table);
    }
  }
  unhide();
  document.addEventListener("htmx:oobAfterSwap", unhide);
})();
