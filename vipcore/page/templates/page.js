// The page asks its own address again and changes only what differs, so that nothing flickers, and focus, scrolling, a selection
// and opened details stay. It calls no other address.
(() => {
  "use strict";
  const main = document.getElementById("main");
  const note = document.getElementById("note");
  const code = new URLSearchParams(location.search).get("code");
  let timer = 0, busy = false;

  // The key is in the address alone, never in what the server sends: it is put into our own links here.
  const dress = (root) => {
    for (const button of root.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
    if (!code) return;
    for (const link of root.querySelectorAll("a[data-own]")) {
      const query = new URLSearchParams(link.getAttribute("href").slice(1));
      query.set("code", code);
      link.setAttribute("href", "?" + query);
    }
    for (const form of root.querySelectorAll("form[data-own]")) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = "code";
      field.value = code;
      form.append(field);
    }
  };

  const sync = (from, to) => {
    if (from.isEqualNode(to)) return;
    for (const { name } of [...from.attributes]) if (name !== "open" && !to.hasAttribute(name)) from.removeAttribute(name);
    for (const { name, value } of to.attributes) if (name !== "open" && from.getAttribute(name) !== value) from.setAttribute(name, value);
    const known = new Map([...from.children].filter((one) => one.id).map((one) => [one.id, one]));
    let at = from.firstChild;
    for (const next of [...to.childNodes]) {
      const twin = next.id ? known.get(next.id) : at && !at.id && at.nodeName === next.nodeName ? at : null;
      if (!twin) {
        from.insertBefore(next, at);
        continue;
      }
      if (twin === at) at = at.nextSibling;
      else from.insertBefore(twin, at);
      if (twin.nodeType === Node.ELEMENT_NODE) sync(twin, next);
      else if (twin.nodeValue !== next.nodeValue) twin.nodeValue = next.nodeValue;
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  };

  const say = (text) => {
    if (note.textContent !== text) note.textContent = text;
    document.documentElement.toggleAttribute("data-old", text !== "");
  };

  const refresh = async () => {
    if (busy) return;
    busy = true;
    clearTimeout(timer);
    try {
      const answer = await fetch(location.href, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(30000) });
      if (!(answer.headers.get("content-type") || "").startsWith("text/html")) throw new Error("it answered " + answer.status);
      const read = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = read.getElementById("main");
      if (!next) throw new Error("it answered something else");
      dress(next);
      const focused = document.activeElement;
      sync(main, next);
      if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
      if (document.title !== read.title) document.title = read.title;
      say("");
    } catch (error) {
      const at = main.querySelector(".meta time");
      say("The app could not be asked again (" + error.message + "). What you see is of " + (at ? at.textContent : "before") + ".");
    }
    busy = false;
    timer = setTimeout(() => document.hidden || refresh(), 1000 * main.dataset.refreshS);
  };

  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  dress(document);
  timer = setTimeout(refresh, 1000 * main.dataset.refreshS);
})();
