/** Coming in: with a name, a password or a token. Which of them the server wants it says itself, when it refuses. */

import { byId } from "./dom.js";

const WORDS = {
  4502: "Choose another name.",
  4504: "You were removed by an operator of this server.",
  4505: "You are banned from this server.",
  4506: "You went on in another window or tab.",
  4507: "You are here too often at once.",
};
const WANTED = { bad_credentials: "password", bad_token: "token" };

export class Login {
  #enter;
  #form = byId("login-form");
  #problem = byId("login-problem");

  /** `enter`: called with the options for a client. */
  constructor(enter) {
    this.#enter = enter;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    for (const way of this.#form.elements.way) way.addEventListener("change", () => this.#way(way.value));
  }

  /** Ask who comes. `ended`: the event that says why one has to say it again. */
  show(ended = null, name = "") {
    byId("login").hidden = false;
    byId("app").hidden = true;
    const { elements } = this.#form;
    if (name) elements.username.value = name;
    const wanted = ended && WANTED[ended.error];
    if (wanted && elements.way.value !== wanted) {
      elements.way.value = wanted;
      byId("ways").open = true;
      this.#way(wanted);
    }
    const words = ended && [ended.reason.replace(/[.!]?$/, "."), WORDS[ended.code]].filter(Boolean).join(" ");
    this.#problem.textContent = ended && ended.code !== 1000 ? words : "";
    byId("login-button").disabled = false;
    (elements.username.closest(".field").hidden ? elements.token : elements.username).focus();
  }

  hide() {
    byId("login").hidden = true;
    byId("app").hidden = false;
    this.#form.elements.password.value = this.#form.elements.token.value = "";
  }

  /** It takes a while: say so, and keep the page from asking twice. */
  waits(words) {
    this.#problem.textContent = words;
  }

  #way(way) {
    const { username, password, token, register } = this.#form.elements;
    username.closest(".field").hidden = way === "token";
    username.required = way !== "token";
    password.closest(".field").hidden = register.closest("label").hidden = way !== "password";
    password.required = way === "password";
    token.closest(".field").hidden = way !== "token";
    token.required = way === "token";
  }

  #submit() {
    const { username, password, token, register, way } = this.#form.elements;
    byId("login-button").disabled = true;
    this.#problem.textContent = "";
    const name = username.value.trim();
    if (way.value === "token") this.#enter({ token: token.value.trim() });
    else if (way.value === "password") this.#enter({ username: name, password: password.value, register: register.checked });
    else this.#enter({ username: name });
  }
}
