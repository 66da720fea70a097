// The form of the settings, made from what /api/flags says of each.

export class Settings {
  constructor(form, send) {
    this.form = form;
    this.send = send;
    this.fields = form.querySelector("#fields");
    this.bar = form.querySelector("#apply");
    this.error = form.querySelector("#settings-error");
    this.controls = new Map();
    this.values = {};
    form.addEventListener("input", () => this.mark());
    form.addEventListener("submit", (event) => this.submit(event));
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.error.textContent = "";
      for (const [name, control] of this.controls) control.write(this.values[name]);
      this.mark();
    });
  }

  build(flags) {
    this.controls.clear();
    this.fields.replaceChildren(...flags.map((flag) => {
      const control = makeControl(flag);
      this.controls.set(flag.name, control);
      const field = document.createElement("div"), label = document.createElement("label");
      const help = document.createElement("small");
      field.className = "field";
      label.textContent = flag.name;
      label.htmlFor = control.input.id = `setting-${flag.name}`;
      help.id = `help-${flag.name}`;
      help.textContent = flag.help;
      control.input.setAttribute("aria-describedby", help.id);
      control.field = field;
      field.append(label, control.element, help);
      return field;
    }));
  }

  // Shows new values, except where the user has changed something that isn't applied yet.
  show(values) {
    for (const [name, control] of this.controls) {
      const untouched = same(control.read(), control.written);
      if (name in values && (untouched || same(control.read(), values[name]))) control.write(values[name]);
    }
    this.values = values;
    this.mark();
  }

  changed() {
    const changes = {};
    for (const [name, control] of this.controls)
      if (!same(control.read(), control.written)) changes[name] = control.read();
    return changes;
  }

  mark() {
    const changes = this.changed();
    for (const [name, control] of this.controls) control.field.classList.toggle("changed", name in changes);
    this.bar.hidden = !Object.keys(changes).length;
    if (this.bar.hidden) this.error.textContent = "";
  }

  async submit(event) {
    event.preventDefault();
    const button = this.bar.querySelector(".main"), changes = this.changed();
    const wrong = [...this.controls].find(([name, control]) => name in changes && !control.input.checkValidity());
    if (wrong) {
      this.error.textContent = `${wrong[0]}: ${wrong[1].input.validationMessage}`;
      wrong[1].input.focus();
      return;
    }
    button.disabled = true;
    this.error.textContent = "";
    try {
      const values = await this.send(changes);
      for (const name of Object.keys(changes)) this.controls.get(name).write(values[name]);
      this.show(values);
    } catch (error) {
      this.error.textContent = error.message;
    }
    button.disabled = false;
  }
}

function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

// Returns {element, input, read, write, written} for a flag; `written` is what was shown last, as it reads back.
function makeControl(flag) {
  const control = MAKERS[flag.kind === "number" && flag.low === 0 && flag.high === 1 && !flag.optional ? "share" : flag.kind](flag);
  control.element = control.element || control.input;
  const write = control.write;
  control.write = (value) => {
    write(value);
    control.written = control.read();
  };
  control.written = control.read();
  return control;
}

function input(type) {
  const made = document.createElement("input");
  made.type = type;
  return made;
}

function numeric(flag, step) {
  const made = input("number");
  made.step = step;
  made.inputMode = step === "1" ? "numeric" : "decimal";
  if (flag.low !== null) made.min = flag.low;
  if (flag.high !== null) made.max = flag.high;
  made.required = !flag.optional;
  if (flag.optional) made.placeholder = "off";
  return {
    input: made,
    read: () => (made.value === "" ? (made.validity.badInput ? NaN : null) : Number(made.value)),
    write: (value) => { made.value = value === null || value === undefined ? "" : value; },
  };
}

const MAKERS = {
  switch: () => {
    const made = input("checkbox");
    made.setAttribute("role", "switch");
    return { input: made, read: () => made.checked, write: (value) => { made.checked = Boolean(value); } };
  },
  integer: (flag) => numeric(flag, "1"),
  number: (flag) => numeric(flag, "any"),
  share: (flag) => {
    const made = input("range"), element = document.createElement("div"), shown = document.createElement("output");
    Object.assign(made, { min: flag.low, max: flag.high, step: 0.01, value: 0 });
    const tell = () => { shown.value = Number(made.value).toFixed(2); };
    made.addEventListener("input", tell);
    element.className = "range";
    element.append(made, shown);
    return { input: made, element, read: () => Number(made.value), write: (value) => { made.value = value ?? 0; tell(); } };
  },
  choice: (flag) => {
    const made = document.createElement("select");
    const choices = flag.optional ? ["", ...flag.choices] : flag.choices;
    made.append(...choices.map((choice) => new Option(choice || "off", choice)));
    return { input: made, read: () => made.value || null, write: (value) => { made.value = value ?? ""; } };
  },
  text: (flag) => {
    const made = input("text");
    Object.assign(made, { autocomplete: "off", autocapitalize: "off", spellcheck: false });
    made.required = !flag.optional;
    if (flag.optional) made.placeholder = "off";
    return {
      input: made,
      read: () => made.value.trim() || (flag.optional ? null : ""),
      write: (value) => { made.value = value ?? ""; },
    };
  },
  texts: () => {
    const made = document.createElement("textarea");
    made.rows = 2;
    made.spellcheck = false;
    made.placeholder = "one a line";
    return {
      input: made,
      read: () => made.value.split("\n").map((line) => line.trim()).filter(Boolean),
      write: (value) => { made.value = (value ?? []).join("\n"); },
    };
  },
};
