"use strict";
// An enhancement: without it every requirement is shown, and commands are copied by hand.
(() => {
  const form = document.getElementById("filter");
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const none = document.getElementById("no-match");
  const openAll = document.getElementById("open-all");
  const items = [...document.querySelectorAll(".requirement")].map((node) => ({
    node,
    text: node.textContent.toLowerCase(),
  }));

  const chosen = (name) =>
    new Set([...form.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value));

  function apply() {
    const verdicts = chosen("verdict");
    const levels = chosen("level");
    const words = search.value.toLowerCase().split(/\s+/);
    let count = 0;
    for (const { node, text } of items) {
      const wanted = verdicts.has(node.dataset.verdict) && levels.has(node.dataset.level);
      node.hidden = !(wanted && words.every((word) => text.includes(word)));
      count += !node.hidden;
    }
    shown.textContent = `${count} of ${items.length} requirements shown`;
    none.hidden = count > 0;
    nameButton();
  }

  const visible = () => items.map(({ node }) => node).filter((node) => !node.hidden);
  const allOpen = () => visible().every((node) => node.open);

  function nameButton() {
    openAll.textContent = allOpen() ? "Close all" : "Open all";
  }

  function openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.matches(".requirement")) {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
    }
  }

  function addCopyButton(block) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const code = block.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.after(button);
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", apply);
  openAll.addEventListener("click", () => {
    const open = !allOpen();
    for (const node of visible()) node.open = open;
    nameButton();
  });
  for (const { node } of items) node.addEventListener("toggle", nameButton);
  document.querySelectorAll("pre.command").forEach(addCopyButton);
  addEventListener("hashchange", openTarget);
  apply();
  openTarget();
})();
