// Light, dark, or as the system says. Runs before the page is drawn, so that it never flashes in the other theme; no module for that reason.
"use strict";
{
  const KEY = "orrery.theme";
  const THEMES = ["auto", "light", "dark"];
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const use = (theme) => {
    document.documentElement.dataset.theme = THEMES.includes(theme) ? theme : "auto";
  };
  use(stored());
  document.addEventListener("DOMContentLoaded", () => {
    for (const choice of document.querySelectorAll("input[name=theme]")) {
      choice.checked = choice.value === document.documentElement.dataset.theme;
      choice.addEventListener("change", () => {
        use(choice.value);
        try {
          localStorage.setItem(KEY, choice.value);
        } catch {
          // A browser that keeps nothing shows the theme until the page is left.
        }
      });
    }
  });
}
