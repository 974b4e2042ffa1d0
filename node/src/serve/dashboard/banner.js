// The verdict, at the top of the page, in its title and aloud.

import { WHERE, byId, command, el, write } from "./dom.js";

const TITLES = { ok: "Orrery", busy: "Orrery", unknown: "Orrery", warn: "Attention: Orrery", bad: "Trouble: Orrery" };
const MARKS = { ok: "OK", busy: "Busy", unknown: "Wait", warn: "Attention", bad: "Trouble" };
const PROBLEMS_MAX = 6;

export class Banner {
  /** `openActor` is given the path of an actor that a reader wants to see. */
  constructor(openActor) {
    this.openActor = openActor;
    this.said = "";
    this.drawn = "";
  }

  show(verdict) {
    const banner = byId("banner");
    banner.dataset.level = verdict.level;
    write(byId("banner-mark"), MARKS[verdict.level]);
    write(byId("banner-headline"), verdict.headline);
    write(byId("banner-detail"), verdict.detail);
    const node = byId("node-name").textContent;
    document.title = node ? `${TITLES[verdict.level]} ${node}` : TITLES[verdict.level];
    this.say(verdict);
    this.list(verdict.problems);
  }

  /** Aloud only what is new: durations inside a sentence change every second. */
  say(verdict) {
    const key = [verdict.level, ...verdict.problems.map((problem) => problem.what.replace(/\d[\d,.]*/g, "#"))].join("|");
    if (key === this.said) return;
    const isFirst = this.said === "";
    this.said = key;
    const isCalm = verdict.problems.length === 0;
    if (isFirst && isCalm) return;
    const act = verdict.problems[0]?.act ?? "";
    write(byId("announce"), isCalm ? `${verdict.headline}. ${verdict.detail}` : `${MARKS[verdict.level]}: ${verdict.headline}. ${act}`);
  }

  list(problems) {
    const list = byId("problems");
    const shown = problems.slice(0, PROBLEMS_MAX);
    const key = JSON.stringify(shown.map(({ what, ...rest }) => ({ what: what.replace(/\d[\d,.]*/g, "#"), ...rest })));
    if (key === this.drawn) {
      // Only a number changed: the rows stay, so that a press on "Copy" or a selection is not lost.
      shown.forEach((problem, index) => write(list.children[index].querySelector(".problem-what"), problem.what));
      return;
    }
    this.drawn = key;
    list.replaceChildren(...shown.map((problem, index) => this.problem(problem, index)));
    if (problems.length > shown.length) list.append(el("li", { class: "problem more" }, `${problems.length - shown.length} more of the kind`));
  }

  problem({ level, what, detail, act, commands, actor }, index) {
    const inspect = actor
      ? el("button", { type: "button", class: "link", onclick: () => this.openActor(actor) }, "Show this actor")
      : null;
    return el(
      "li",
      { class: `problem ${level}` },
      el("p", { class: index === 0 ? "problem-what repeated" : "problem-what" }, what),
      detail ? el("p", { class: "problem-detail" }, detail) : null,
      el("p", { class: "problem-act" }, el("strong", {}, "What to do: "), act, " ", inspect),
      commands.length ? el("p", { class: "commands" }, commands.map(command)) : null,
      commands.length ? el("p", { class: "quiet" }, WHERE) : null,
    );
  }
}
