"use strict";
// An enhancement: without it every mutant is shown.
(() => {
  const form = document.getElementById("filter");
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const rows = [...document.querySelectorAll("tr.mutant")].map((node) => ({
    node,
    text: node.textContent.toLowerCase(),
  }));
  const sections = [...document.querySelectorAll("main section section")].filter((section) =>
    section.querySelector("tr.mutant"),
  );

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/);
    let count = 0;
    for (const { node, text } of rows) {
      node.hidden = !words.every((word) => text.includes(word));
      count += !node.hidden;
    }
    for (const section of sections) {
      section.hidden = !section.querySelector("tr.mutant:not([hidden])");
    }
    shown.textContent = `${count} of ${rows.length} rows shown`;
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", apply);
  apply();
})();
